//! Which runtimes are to be asked now, beside the regular rounds? Those whose kubelet is about to look at its images, and those
//! whose kubelet just did: what it noted, and what it deleted, is known only from the lists around its pass.

use crate::discover::LayerKey;
use crate::time::{Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Asked within this time before a check.
const BEFORE: Span = Span::from_secs(3);
/// And once this long after it: the deletions of a check take up to some seconds.
const AFTER: Span = Span::from_secs(4);

/// What has been asked around which checks.
#[derive(Debug, Default)]
pub(super) struct Cadence {
    /// The check before which a layer was asked, until it is asked after it.
    asked_before: BTreeMap<LayerKey, Timestamp>,
}

impl Cadence {
    /// The layers to ask at `now`, given when each kubelet looks next. Each is named once before a check and once after it.
    pub(super) fn due(&mut self, now: Timestamp, checks: &BTreeMap<LayerKey, Timestamp>) -> BTreeSet<LayerKey> {
        let mut due = BTreeSet::new();
        self.asked_before.retain(|layer, check| {
            let over = now >= *check + AFTER;
            if over {
                due.insert(*layer);
            }
            !over
        });
        for (layer, check) in checks {
            let soon = now < *check && now + BEFORE >= *check;
            if soon && !self.asked_before.contains_key(layer) {
                self.asked_before.insert(*layer, *check);
                due.insert(*layer);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_asked_once_before_and_once_after_each_check() {
        let key = LayerKey { pid: 7, start_ticks: 1 };
        let at = |seconds| Timestamp::from_micros(0) + Span::from_secs(seconds);
        let mut cadence = Cadence::default();
        let mut asked = Vec::new();
        for second in 0..=620 {
            // The time of the next check, as a kubelet of a five-minute schedule has it.
            let checks = BTreeMap::from([(key, at((second / 300 + 1) * 300))]);
            if cadence.due(at(second), &checks).contains(&key) {
                asked.push(second);
            }
        }
        assert_eq!(asked, [297, 304, 597, 604]);
    }
}
