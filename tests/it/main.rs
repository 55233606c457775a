//! One integration binary; one module per question.

mod architecture;
mod contract;
mod exposition;
mod hostile_sockets;
mod metrics;
mod node;
mod surfaces;
mod tools;
mod web;
