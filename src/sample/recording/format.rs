//! What is every recording called, how does it begin, and how large may its parts be?

/// The version of the format that is written, and the newest that is read.
pub const FORMAT_VERSION: u32 = 1;
/// What the header calls the format.
pub const FORMAT: &str = "highwater-recording";
/// What every recording begins with.
pub const BEGIN: &[u8] = b"{\"type\":\"header\"";
/// The longest line, its newline not counted.
pub const LINE_LIMIT: usize = 4 << 20;
/// The most bytes of lines whose content is in force at one time; what a reader holds in memory is some times this.
pub const STATE_LIMIT: usize = 128 << 20;
