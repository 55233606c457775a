//! How is this machine looked at where no agent is asked? For some seconds, since a rate needs several samples.

use super::{Failure, privileges};
use crate::agent::Watch;
use crate::config::Settings;
use crate::snapshot::Snapshot;
use crate::time::Span;
use std::time::Instant;

/// Distance between two samples: enough of them for a rate within a window of a few seconds.
pub(super) const INTERVAL: Span = Span::from_millis(500);
/// How long to look where nothing else is said.
pub(super) const WINDOW: Span = Span::from_secs(5);

/// Begins to watch, with the rights that reading takes and no others.
pub(super) fn begin(settings: &Settings) -> Result<Watch, Failure> {
    privileges::keep_reading(&[]);
    Ok(Watch::new(settings, INTERVAL)?)
}

/// Samples until a window that began then is over: the newest snapshot, which is the one given where it is over already.
pub(super) fn through(window: Span, begin: Instant, watch: &mut Watch, mut newest: Snapshot) -> Snapshot {
    while begin.elapsed() < window.to_std() {
        std::thread::sleep(INTERVAL.to_std());
        newest = watch.round();
    }
    newest
}
