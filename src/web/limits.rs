//! How much may a client take? Every limit of the server.

use crate::time::Span;

/// Limits of the server. Requests in flight need none of their own: on each connection one is answered before the next is looked
/// at, and answers are counted by their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time. When all are taken, the one that is longest without progress is closed for the next.
    pub connections: usize,
    /// Connections that wait for a slot, for each listener; at most a quarter of the files that the process may open. More wait in
    /// the kernel, or where that lasts, the oldest of the address with most are closed.
    pub waiting: usize,
    /// Bytes of answers that clients have not taken yet, of all connections together. Beyond it, of the connections that hold
    /// any the one that is longest without progress is closed.
    pub answer_bytes: usize,
    /// Time for a TLS handshake, and to send the header of a request, from the first byte or the start of the connection.
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

/// 256 connections take about 16 KiB each and 64 KiB more with TLS, those that wait less than 1 KiB; the kernel holds at most twice
/// `SOCKET_BUFFERS` for each, and of one that waits only what was received. A
/// scrape takes far less than a second of any of the times, and connections outlive a scrape interval of a minute.
impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            waiting: 2_048,
            answer_bytes: 8 << 20,
            header_timeout: Span::from_secs(10),
            idle_timeout: Span::from_secs(150),
            write_timeout: Span::from_secs(10),
            header_bytes: 16 << 10,
            drain_timeout: Span::from_secs(5),
        }
    }
}

/// What the kernel may keep for a connection in bytes, to be sent and received: half of what it then really takes. Left alone it
/// lets a client that never reads, or sends without end, fill several MiB.
pub(super) const SOCKET_BUFFERS: (usize, usize) = (64 << 10, 16 << 10);
