//! How good are the forecasts on a recorded past? Plays traces through the very same core and scores what it says.
//!
//! Pure: text in, numbers and text out; files are read and written by `command/backtest.rs`. The definitions of events, judged
//! times, alerts and scores are those of the traces' own scorer, so that both can be compared figure by figure.

mod baseline;
mod emit;
mod play;
mod plot;
mod scores;
mod table;
mod trace;
mod truth;

pub use baseline::Method;
pub use emit::lines;
pub use play::{Judged, Played, Threshold, play};
pub use plot::{calibration, course};
pub use scores::{AlertScores, Scores, score};
pub use table::table;
pub use trace::{Trace, TraceError, TracePoint, parse_csv, parse_prometheus};
