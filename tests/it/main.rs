//! One integration binary; one module per question.

mod hostile_sockets;
