//! How often is each runtime asked? Seldom where it is slow: our questions must not be what makes it so.

use crate::discover::LayerKey;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// When each runtime is asked next.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    layers: BTreeMap<LayerKey, Turn>,
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    pause: Duration,
    next: Instant,
}

/// A daemon is busy with us for at most this part of its time.
const SHARE: u32 = 20;
/// The longest pause, unless a longer interval is set. Lists further apart than 7.5 minutes do not show what was in use between.
const LONGEST: Duration = Duration::from_mins(5);

impl Pace {
    /// Everybody is asked at once, and then in each interval.
    pub fn new(interval: Duration) -> Self {
        Self { interval, layers: BTreeMap::new() }
    }

    /// Those of these layers whose turn it is; others, which are not there any more, are forgotten. With a new one come all that
    /// are not slow: the runtime around it knows its name.
    pub fn due(&mut self, now: Instant, layers: impl IntoIterator<Item = LayerKey>) -> BTreeSet<LayerKey> {
        let layers: BTreeSet<LayerKey> = layers.into_iter().collect();
        self.layers.retain(|layer, _| layers.contains(layer));
        let one_is_new = layers.iter().any(|layer| !self.layers.contains_key(layer));
        let is_due = |layer: &LayerKey| {
            (one_is_new && self.is_usual(*layer)) || self.layers.get(layer).is_some_and(|turn| turn.next <= now)
        };
        layers.into_iter().filter(is_due).collect()
    }

    /// Takes note of how long a runtime took for a round of questions that was over at `now`. The pause grows at once with a slow
    /// round, and twofold with the next, and goes back by halves.
    pub fn took(&mut self, layer: LayerKey, now: Instant, took: Duration) {
        let longest = self.interval.max(LONGEST);
        let before = self.layers.get(&layer).map_or(self.interval, |turn| turn.pause);
        let fair = took.saturating_mul(SHARE).max(self.interval);
        let pause = if fair > before {
            fair.max(before.saturating_mul(2))
        } else if fair > self.interval {
            before
        } else {
            (before / 2).max(self.interval)
        };
        let pause = pause.min(longest);
        if pause > self.interval && before == self.interval {
            tracing::info!(pid = layer.pid, ?took, ?pause, "a runtime is slow and is asked less often");
        }
        self.layers.insert(layer, Turn { pause, next: now + pause });
    }

    /// The pause of a runtime.
    pub fn pause(&self, layer: LayerKey) -> Duration {
        self.layers.get(&layer).map_or(self.interval, |turn| turn.pause)
    }

    /// Whether a runtime is asked as often as it should be.
    pub fn is_usual(&self, layer: LayerKey) -> bool {
        self.pause(layer) <= self.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::clock;

    const LAYER: LayerKey = LayerKey { pid: 7, start_ticks: 1 };
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_pause_grows_with_slow_rounds_and_goes_back_with_quick_ones() {
        let mut pace = Pace::new(30 * SECOND);
        let pauses: Vec<u64> = [1, 2, 2, 3, 12, 2, 0, 0, 0, 0, 0]
            .into_iter()
            .map(|took| {
                pace.took(LAYER, clock::monotonic(), took * SECOND);
                pace.pause(LAYER).as_secs()
            })
            .collect();
        // 20 s are less than the interval; 40 s are twice that at least, and stay while it takes as long.
        assert_eq!(pauses, [30, 60, 60, 60, 240, 240, 120, 60, 30, 30, 30]);
        pace.took(LAYER, clock::monotonic(), 600 * SECOND);
        assert_eq!(pace.pause(LAYER), LONGEST);
        assert!(!pace.is_usual(LAYER));
        let mut slow = Pace::new(600 * SECOND);
        slow.took(LAYER, clock::monotonic(), 600 * SECOND);
        assert_eq!(slow.pause(LAYER), 600 * SECOND);
    }

    #[test]
    fn a_runtime_is_due_when_it_is_new_and_after_its_pause() {
        let now = clock::monotonic();
        let other = LayerKey { pid: 8, start_ticks: 1 };
        let mut pace = Pace::new(30 * SECOND);
        assert_eq!(pace.due(now, [LAYER]), [LAYER].into());
        pace.took(LAYER, now, SECOND / 10);
        assert_eq!(pace.due(now + 29 * SECOND, [LAYER]), [].into());
        assert_eq!(pace.due(now + 30 * SECOND, [LAYER]), [LAYER].into());
        assert_eq!(pace.due(now, [LAYER, other]), [LAYER, other].into(), "the one around a new one as well");
        pace.took(LAYER, now, 10 * SECOND);
        assert_eq!(pace.due(now, [LAYER, other]), [other].into(), "but not a slow one");
        // Gone and back: it is another process, or it was restarted.
        assert_eq!(pace.due(now, [other]), [other].into());
        assert_eq!(pace.due(now, [LAYER]), [LAYER].into());
    }
}
