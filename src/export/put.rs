//! How is text appended to text?

/// Appends formatted text to a string. On the page, text that is not a literal of ours is given as `Escaped`.
macro_rules! put {
    ($text:expr, $($arguments:tt)*) => {{
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        write!($text, $($arguments)*).unwrap_or_default();
    }};
}
pub(super) use put;
