//! Unix sockets by handle.
