//! How much space was there on a disk, and how much may there be? What a chart needs, bounded whatever the disk did.

use crate::forecast::{Forecast, History, Moment, Outlook};
use crate::units::Bytes;

/// The last hours of a filesystem, and what lies ahead.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timeline {
    /// What was available at the end of each minute that was measured, oldest first; at most 361 values.
    pub past: Vec<Moment>,
    /// When so few bytes are left, most bytes first; 11 levels, or none while too little was seen.
    pub ahead: Vec<Projection>,
}

/// One level and when it is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Projection {
    /// Bytes available.
    pub available: Bytes,
    /// When fewer are.
    pub forecast: Forecast,
}

/// Six hours, the longest horizon of a forecast, and the present minute.
const MINUTES: usize = 361;
/// Parts of what is available now, close together where the near future is.
const FALLS: [f64; 11] = [1.0 / 64.0, 1.0 / 32.0, 1.0 / 16.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0];

impl Timeline {
    /// The past alone of a disk that cannot be measured at present.
    pub(super) fn past(history: &History) -> Self {
        Self { past: history.past(MINUTES), ahead: Vec::new() }
    }

    /// The past, and the future of a disk of which so much is available now.
    pub(super) fn new(history: &History, outlook: &Outlook, available: Bytes) -> Self {
        let level = |fall: f64| Bytes::from_f64_saturating(available.as_f64() * (1.0 - fall));
        let ahead = FALLS.into_iter().filter_map(|fall| {
            let available = level(fall);
            Some(Projection { available, forecast: outlook.forecast(available)? })
        });
        Self { ahead: ahead.collect(), ..Self::past(history) }
    }

    /// What stays available for six hours with a probability of 90 %, to the next lower level; `None` while too little was seen.
    pub fn floor(&self) -> Option<Bytes> {
        let is_reached = |ahead: &Projection| {
            let [.., six_hours] = ahead.forecast.probability;
            six_hours.get() >= 0.1
        };
        self.ahead.last()?;
        Some(self.ahead.iter().find(|ahead| !is_reached(ahead)).map_or(Bytes::ZERO, |ahead| ahead.available))
    }
}
