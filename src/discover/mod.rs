//! Which layers are there? From /proc to a tree of layers.
//!
//! `scan` reads processes, incrementally; `tree` is pure and orders them; `parse` turns bytes into values. Nothing here opens a
//! file of a layer or asks a runtime.

pub mod parse;
mod process;
mod scan;
mod tree;

pub use process::{Carrier, ContainerRef, Process, Role};
pub use scan::Scanner;
pub use tree::{
    BARE_HOST, Driven, FoundKubelet, FoundLayer, LayerKey, Learned, Socket, layers, same_socket, told_socket,
};
