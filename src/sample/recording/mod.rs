//! How is a sequence of samples kept in a file? JSON lines, of which each says what changed; docs/recording.md describes them.
//!
//! Only samples are kept, never what was concluded from them: a recording is read by the same code that reads a machine.
//! No files here: lines go out as text and come in through any `BufRead`.

mod decode;
mod encode;
mod format;
mod in_force;
mod line;
#[cfg(test)]
mod random_tests;
mod reader;
#[cfg(test)]
mod tests;

pub use decode::{Decoder, LineError, Skipped};
pub use encode::Encoder;
pub use format::{BEGIN, FORMAT, FORMAT_VERSION, LINE_LIMIT, STATE_LIMIT};
pub use reader::{Damage, DamageCause, Reader, Report};
