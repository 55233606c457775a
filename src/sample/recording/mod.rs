//! How is a sequence of samples kept in a file? JSON lines, of which each says what changed; docs/recording.md describes them.
//!
//! Only samples are kept, never what was concluded from them: a recording is read by the same code that reads a machine.
//! No files here: lines go out as text and come in through any `BufRead`.

mod decode;
mod encode;
mod in_force;
mod line;
#[cfg(test)]
mod random_tests;
mod reader;
#[cfg(test)]
mod tests;

pub use decode::{Decoder, LineError, Skipped};
pub use encode::Encoder;
pub use reader::{Damage, DamageCause, Reader, Report};

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
