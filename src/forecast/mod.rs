//! When will a level be reached? Pure: no I/O, no clock, no threshold of its own.

pub mod backtest;
mod drawdown;
mod fitted;
#[expect(clippy::module_inception, reason = "the form of a forecast is the folder's first question")]
mod forecast;
mod gaussian;
mod history;
mod line;
mod minutes;
mod outlook;
mod past;
mod rate;
mod score;
mod series;
mod surface;

pub use forecast::{Forecast, Horizon};
pub use history::{History, Moment, Observation};
pub use outlook::Outlook;
pub use score::{Scorer, Tally};
