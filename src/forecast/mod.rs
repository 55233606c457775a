//! When will a level be reached? Pure: no I/O, no clock, no threshold of its own.

#[expect(clippy::module_inception, reason = "the form of a forecast is the folder's first question")]
mod forecast;
mod gaussian;
mod history;
mod outlook;
mod rate;
mod series;

pub use forecast::{Forecast, Horizon};
pub use history::{History, Observation};
pub use outlook::Outlook;
