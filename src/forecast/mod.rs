//! When will a level be reached? Pure: no I/O, no clock, no threshold of its own.

#[expect(clippy::module_inception, reason = "the form of a forecast is the folder's first question")]
mod forecast;

pub use forecast::{Forecast, Horizon};
