//! How much may a client take? Every limit of the server.

use crate::time::Span;

/// Limits of the server. Requests in flight need none: each is answered from memory before the next is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time. When all are taken, the one that is longest without progress is closed for the next.
    pub connections: usize,
    /// Time to send the header of a request, from the first byte or the start of the connection.
    pub header_timeout: Span,
    /// Time between two requests on one connection.
    pub idle_timeout: Span,
    /// Time in which a client must take some part of an answer.
    pub write_timeout: Span,
    /// Longest header of a request in bytes; never less than 8,192.
    pub header_bytes: usize,
    /// Time for requests in flight to end after the shutdown signal.
    pub drain_timeout: Span,
}

/// 512 connections of at most about 16 KiB each are 8 MiB; a scrape takes far less than a second of any of the times, and
/// connections outlive a scrape interval of a minute.
impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            header_timeout: Span::from_secs(10),
            idle_timeout: Span::from_secs(150),
            write_timeout: Span::from_secs(10),
            header_bytes: 16 << 10,
            drain_timeout: Span::from_secs(5),
        }
    }
}
