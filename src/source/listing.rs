//! What did a daemon list, and is that all of it? A reply beyond the limits is kept as far as it was read and marked.

/// The most tags, and the most digests, that are kept of one image.
pub const MAX_NAMES: usize = 64;

/// The entries of one reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// What was read, in the daemon's order.
    pub items: Vec<T>,
    /// Why this is not all; `None` when it is.
    pub cut: Option<Cut>,
}

/// Why a list is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// More bytes than this limit, as sent or as kept in memory.
    Bytes(usize),
    /// More entries than this limit.
    Items(usize),
    /// This many entries are malformed or too large and left out.
    Unreadable(usize),
}

impl<T> Listing<T> {
    /// Whether nothing is missing.
    pub const fn is_complete(&self) -> bool {
        self.cut.is_none()
    }
}
