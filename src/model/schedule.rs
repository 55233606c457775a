//! When does a kubelet look at its disk? The schedule of its collection ticks and eviction passes, from the time it
//! started.
//!
//! Mirrors `kubelet.go` StartGarbageCollection (every 5 minutes, counted from the end of the pass before) and
//! `eviction/eviction_manager.go` Start (every 10 seconds, likewise). The first pass comes a little after the process started,
//! on a busy machine much later; `cmd/kubelet/app/server.go` RunKubelet begins collection and at once, in startKubelet, to serve
//! pod resources, so that the age of that socket tells it well. The offsets were measured on kubelets 1.20.2 and 1.37.2.
//!
//! Does not know whether the loop is on, see `GcPolicy`. The drift of a long life is taken out by a pass that was seen to delete.

use super::{Release, Rule, Signal, TriState, Trigger};
use crate::sample::KubeletSample;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// ImageGCPeriod in kubelet.go.
pub const GC_PERIOD: Span = Span::from_secs(300);

/// evictionMonitoringPeriod in kubelet.go is 10 s; the pass itself takes the rest.
pub const EVICTION_PERIOD: Span = Span::from_millis(10_050);

/// Seen: a tick comes 2 to 10 ms late each time and takes 1 ms where it deletes nothing.
const DRIFT_EARLIEST: Span = Span::from_millis(2);
const DRIFT: Span = Span::from_millis(6);
pub(super) const DRIFT_LATEST: Span = Span::from_millis(11);

/// Seen: 50 to 400 ms where a pass deletes something; thousands of images on a slow disk take longer.
const USUAL_PASS: Span = Span::from_millis(200);
const LONGEST_PASS: Span = Span::from_secs(5);

/// On a starved machine a kubelet was seen to take 6 s from the start of its process to its first pass; k3s begins a server first.
const LONGEST_START: Span = Span::from_secs(600);

/// An instant that is known to lie within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Not before.
    pub earliest: Timestamp,
    /// Most likely.
    pub at: Timestamp,
    /// Not after, unless the machine is starved of CPU or passes deleted many images.
    pub latest: Timestamp,
}

/// What is known of the start of a kubelet; its passes are counted from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    process_at: Timestamp,
    serving_since: Option<Timestamp>,
    release: Release,
}

impl Start {
    /// Of a process that started at this time, nothing else known.
    pub const fn of(process_at: Timestamp, release: Release) -> Self {
        Self { process_at, serving_since: None, release }
    }

    /// The same, where it is seen since when it serves pod resources. A time that cannot be this kubelet's, before its process
    /// or long after it, tells nothing: the clock was set in between.
    #[must_use]
    pub fn serving(self, since: Option<Timestamp>) -> Self {
        let serving_since = since.filter(|at| *at >= self.process_at && at.since(self.process_at) <= LONGEST_START);
        Self { serving_since, ..self }
    }

    /// When the process started. No two kubelets of a layer have the same.
    pub const fn process_at(self) -> Timestamp {
        self.process_at
    }

    /// Since when it serves pod resources, where that is seen.
    pub const fn serving_since(self) -> Option<Timestamp> {
        self.serving_since
    }

    /// Its release.
    pub const fn release(self) -> Release {
        self.release
    }

    /// The first pass of the collection loop ("tick 0"). Where it is not seen since when the kubelet serves, it is taken from the
    /// start of the process: 0.15 to 0.5 s, 6.3 to 7.3 s where the kubelet probes for a cloud provider first; where the release
    /// is not known, anything between. On a machine that is starved of CPU it comes seconds later.
    ///
    /// Tick 0 usually finds no disk statistics and deletes nothing; up to 1.28 always.
    pub fn first_pass(self) -> Expected {
        let after = |from: Timestamp, earliest, likely, latest| Expected {
            earliest: from + Span::from_millis(earliest),
            at: from + Span::from_millis(likely),
            latest: from + Span::from_millis(latest),
        };
        if let Some(serving) = self.serving_since {
            let first = after(serving, -200, 20, 300);
            return Expected { earliest: first.earliest.max(self.process_at), ..first };
        }
        match self.release.holds(Rule::SlowStart) {
            TriState::Yes => after(self.process_at, 6_300, 6_700, 7_300),
            TriState::No => after(self.process_at, 150, 200, 500),
            TriState::Unknown => after(self.process_at, 150, 300, 7_300),
        }
    }

    /// The pass of a number counted from 0, the first one. Passes that refresh the records of images come at these times
    /// whether the collection loop is on or not: a second loop of the same period does nothing else.
    pub fn pass(self, number: i64) -> Expected {
        nth(self.first_pass(), number)
    }

    /// The next eviction pass after `now`: the first one 0.1 s after tick 0, then every 10.05 s.
    ///
    /// `at` is only good for the first few minutes; the bounds say that it is within one period from now, which is always
    /// true.
    pub fn next_eviction_pass(self, now: Timestamp) -> Expected {
        let first = self.first_pass().at + Span::from_millis(100);
        let passes =
            if now < first { 0 } else { (now.since(first).micros() / EVICTION_PERIOD.micros()).saturating_add(1) };
        let at = first + Span::from_micros(EVICTION_PERIOD.micros().saturating_mul(passes));
        let from = now.max(first);
        Expected { earliest: from, at: at.max(from), latest: from + EVICTION_PERIOD }
    }
}

impl From<&KubeletSample> for Start {
    fn from(kubelet: &KubeletSample) -> Self {
        Self::of(kubelet.started_at, Release::of(kubelet)).serving(kubelet.serving_since)
    }
}

/// The ticks of one kubelet's collection loop: from its start, and from the last pass that was seen to delete, if any was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcSchedule {
    start: Start,
    seen: Option<Expected>,
    stats_period: Span,
}

impl GcSchedule {
    /// Of a kubelet with this start, nothing else known.
    pub const fn of(start: Start) -> Self {
        Self { start, seen: None, stats_period: Span::ZERO }
    }

    /// The same, where the end of a pass was seen: the next tick is counted from there. This takes out the drift of all passes
    /// before, which is not known where they deleted something.
    #[must_use]
    pub const fn with(self, seen: Option<Expected>) -> Self {
        Self { seen, ..self }
    }

    /// The same beside a runtime that measures what its images use only so often: an imagefs signal waits for a new figure.
    #[must_use]
    pub const fn measured_every(self, stats_period: Span) -> Self {
        Self { stats_period, ..self }
    }

    /// The first pass of the loop, see [`Start::first_pass`].
    pub fn first_pass(&self) -> Expected {
        self.start.first_pass()
    }

    /// The next tick after `now` at which the loop can delete images. Tick 0 is never the answer, see [`Start::first_pass`].
    ///
    /// The bounds widen by 9 ms with each tick; passes that delete something add 0.05 to 0.4 s each, which is not known here. A
    /// `now` before the start counts as the start.
    pub fn next_check(&self, now: Timestamp) -> Expected {
        let from = self.seen.filter(|seen| seen.latest <= now).unwrap_or_else(|| self.first_pass());
        let step = GC_PERIOD.saturating_add(DRIFT).micros();
        let passed = now.since(from.at).micros().max(0) / step;
        nth(from, passed.saturating_add(1))
    }

    /// The next eviction pass after `now` that acts on a signal, see [`Start::next_eviction_pass`]. An imagefs signal is passed over
    /// until the runtime has measured anew, which containerd does every 10 s unless it is told otherwise: each pass then finds
    /// a new figure.
    pub fn next_eviction_pass(&self, signal: Option<Signal>, now: Timestamp) -> Expected {
        let pass = |after| self.start.next_eviction_pass(after);
        let next = pass(now);
        if !signal.is_some_and(Signal::is_imagefs) || self.stats_period <= EVICTION_PERIOD {
            return next;
        }
        let half = Span::from_micros(self.stats_period.micros() / 2);
        Expected { at: pass(now + half).at, latest: next.latest + self.stats_period, ..next }
    }

    /// The end of a pass that deleted images which were there at `after` and no more at `before`, in the light of what was
    /// known; `tick` is that pass as it was expected. An expectation that does not meet what was seen is dropped.
    pub fn seen(tick: Expected, after: Timestamp, before: Timestamp) -> Expected {
        // Deletions take up to some seconds, and the pass ends with the last one.
        let (earliest, latest) = (tick.earliest.max(after), (tick.latest + LONGEST_PASS).min(before));
        let (earliest, latest) = if earliest <= latest { (earliest, latest) } else { (after, before) };
        Expected { earliest, at: (tick.at + USUAL_PASS).max(earliest).min(latest), latest }
    }

    /// When a trigger acts whose line is crossed at `crossed` and stays so; for one crossed long ago, pass the present.
    ///
    /// Collection acts at the first tick that sees the crossing. It decides on the number of the latest eviction pass, so a
    /// tick up to one eviction period after the crossing may miss it. An eviction acts in the next pass, a soft one after its
    /// grace period, which is counted from the pass that first saw it; a full disk acts at once.
    pub fn acts_at(
        &self,
        trigger: Trigger,
        signal: Option<Signal>,
        crossed: Timestamp,
        grace_period: Span,
    ) -> Expected {
        match trigger {
            Trigger::ImageGc => {
                let (soonest, likely) = (self.next_check(crossed), crossed + Span::from_secs(5));
                let latest = self.next_check(crossed + EVICTION_PERIOD).latest;
                Expected { earliest: soonest.earliest.max(crossed), at: self.next_check(likely).at, latest }
            }
            Trigger::ImageEviction | Trigger::PodEviction | Trigger::InodeEviction => {
                let sees = self.next_eviction_pass(signal, crossed);
                if grace_period <= Span::ZERO {
                    return sees;
                }
                let until = |seen: Timestamp, passes: i64| {
                    seen + grace_period + Span::from_micros(EVICTION_PERIOD.micros().saturating_mul(passes))
                };
                Expected { earliest: until(sees.earliest, 0), at: until(sees.at, 1), latest: until(sees.latest, 1) }
            }
            Trigger::DiskFull => Expected { earliest: crossed, at: crossed, latest: crossed },
        }
    }

    /// The first tick at which an image that is loaded at `loaded` and never used can be deleted: the next tick is the first to
    /// see it, and it must then reach the minimum age. Eviction can take it after the minimum age alone.
    pub fn new_image_gc_eligible_at(&self, loaded: Timestamp, minimum_age: Span) -> Expected {
        let seen = self.next_check(loaded);
        // The tick itself, where no age is asked for; otherwise the first one that is late enough.
        self.next_check(seen.at + minimum_age - Span::from_micros(1))
    }
}

fn nth(first: Expected, number: i64) -> Expected {
    let after = |base: Timestamp, drift: Span| {
        base + Span::from_micros(GC_PERIOD.saturating_add(drift).micros().saturating_mul(number))
    };
    Expected {
        earliest: after(first.earliest, DRIFT_EARLIEST),
        at: after(first.at, DRIFT),
        latest: after(first.latest, DRIFT_LATEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const V1_37: Release = Release::V1 { minor: 37, patch: 2 };
    const V1_20: Release = Release::V1 { minor: 20, patch: 2 };

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_secs_f64(seconds)
    }

    fn check(started_at: f64, now: f64, release: Release) -> Expected {
        GcSchedule::of(Start::of(at(started_at), release)).next_check(at(now))
    }

    #[test]
    fn the_first_tick_that_deletes_comes_five_minutes_after_the_first_pass() {
        let next = check(1000.0, 1000.0, V1_37);
        assert_eq!(next.at, at(1300.206));
        assert_eq!((next.earliest, next.latest), (at(1300.152), at(1300.511)));
        // Before 1.21 the first pass came 6 to 7 s after the start.
        assert_eq!(check(1000.0, 1000.0, V1_20).at, at(1306.706));
    }

    #[test]
    fn ticks_follow_each_other_and_drift() {
        assert_eq!(check(0.0, 300.206, V1_37).at, at(600.212));
        assert_eq!(check(0.0, 600.211, V1_37).at, at(600.212));
        // A day later, 288 ticks: 1.73 s of drift.
        assert_eq!(check(0.0, 86_400.0, V1_37).at, at(86_401.928));
        let bounds = check(0.0, 86_400.0, V1_37);
        assert_eq!(bounds.latest.since(bounds.earliest), Span::from_millis(2_942));
    }

    #[test]
    fn an_unknown_release_has_wider_bounds() {
        let next = check(0.0, 0.0, Release::Unknown);
        assert_eq!((next.earliest, next.latest), (at(300.152), at(307.311)));
    }

    #[test]
    fn eviction_passes_come_every_ten_seconds() {
        assert_eq!(Start::of(at(0.0), V1_37).next_eviction_pass(at(0.0)).at, at(0.3));
        assert_eq!(Start::of(at(0.0), V1_37).next_eviction_pass(at(0.3)).at, at(10.35));
        assert_eq!(Start::of(at(0.0), V1_37).next_eviction_pass(at(25.0)).at, at(30.45));
        assert_eq!(Start::of(at(0.0), V1_37).next_eviction_pass(at(25.0)).latest, at(35.05));
    }

    /// Of 1.37.2, seen on a starved machine: process at .65, socket at 5.98, end of the first pass at 6.00, next tick at 306.00.
    #[test]
    fn the_first_pass_is_told_by_the_socket_that_is_made_beside_it() {
        let process = Start::of(at(0.65), V1_37);
        let first = process.serving(Some(at(5.977))).first_pass();
        assert_eq!((first.earliest, first.at, first.latest), (at(5.777), at(5.997), at(6.277)));
        let next = GcSchedule::of(process.serving(Some(at(5.977)))).next_check(at(290.0));
        assert!(next.earliest <= at(306.004) && at(306.004) <= next.latest, "{next:?}");
        // No release is needed for it, and no pass comes before the process.
        assert_eq!(Start::of(at(0.65), Release::Unknown).serving(Some(at(5.977))).first_pass(), first);
        assert_eq!(process.serving(Some(at(0.7))).first_pass().earliest, at(0.65));
    }

    #[test]
    fn a_socket_that_cannot_be_this_kubelets_tells_nothing() {
        let process = Start::of(at(1_000.0), V1_37);
        for impossible in [999.9, 0.0, 1_600.1, f64::from(i32::MAX)] {
            assert_eq!(process.serving(Some(at(impossible))), process, "{impossible}");
        }
        assert_eq!(process.serving(None), process);
        assert_ne!(process.serving(Some(at(1_600.0))), process);
    }

    #[test]
    fn collection_acts_at_the_first_tick_that_sees_the_crossing() {
        let acts = |crossed| {
            GcSchedule::of(Start::of(at(0.0), V1_37)).acts_at(Trigger::ImageGc, None, at(crossed), Span::ZERO)
        };
        assert_eq!(acts(100.0).at, at(300.206));
        assert_eq!((acts(100.0).earliest, acts(100.0).latest), (at(300.152), at(300.511)));
        // So shortly before a tick that it may use a number from before the crossing.
        assert_eq!((acts(299.0).earliest, acts(299.0).at, acts(299.0).latest), (at(300.152), at(600.212), at(600.522)));
        // Earlier than the first tick that can delete there is none.
        assert_eq!(acts(-50.0).at, at(300.206));
    }

    #[test]
    fn eviction_acts_in_the_next_pass_and_after_the_grace_period() {
        let schedule = GcSchedule::of(Start::of(at(0.0), V1_37));
        let acts = |grace| {
            schedule.acts_at(Trigger::ImageEviction, Some(Signal::ImagefsAvailable), at(25.0), Span::from_secs(grace))
        };
        assert_eq!((acts(0).at, acts(0).latest), (at(30.45), at(35.05)));
        // Seen on both releases: first seen at 41.2, grace of 30 s, acted at 71.6.
        assert_eq!((acts(30).earliest, acts(30).at, acts(30).latest), (at(55.0), at(70.5), at(75.1)));
        let full = schedule.acts_at(Trigger::DiskFull, None, at(25.0), Span::ZERO);
        assert_eq!((full.earliest, full.latest), (at(25.0), at(25.0)));
    }

    #[test]
    fn a_pass_that_was_seen_sets_the_grid_anew() {
        let seen = Expected { earliest: at(901.0), at: at(901.5), latest: at(902.0) };
        let schedule = GcSchedule::of(Start::of(at(0.0), V1_37)).with(Some(seen));
        let next = schedule.next_check(at(1_000.0));
        assert_eq!((next.earliest, next.at, next.latest), (at(1_201.002), at(1_201.506), at(1_202.011)));
        assert_eq!(schedule.next_check(at(1_300.0)).at, at(1_501.512));
        // Of the time before nothing is learned.
        assert_eq!(schedule.next_check(at(650.0)).at, at(900.218));
    }

    #[test]
    fn a_burst_of_deletions_narrows_the_pass_down() {
        let ten_days = 10.0 * 86_400.0;
        let expected = check(0.0, ten_days, V1_37);
        assert!(expected.latest.since(expected.earliest) > Span::from_secs(25), "{expected:?}");
        // Images were there 3 s before and gone 4 s after the middle of it.
        let (after, before) = (expected.at - Span::from_secs(3), expected.at + Span::from_secs(4));
        let seen = GcSchedule::seen(expected, after, before);
        assert_eq!((seen.earliest, seen.at, seen.latest), (after, expected.at + Span::from_millis(200), before));
        let next = GcSchedule::of(Start::of(at(0.0), V1_37)).with(Some(seen)).next_check(before);
        assert_eq!(next.at, seen.at + Span::from_millis(300_006));
        assert_eq!(next.latest.since(next.earliest), Span::from_millis(7_009));
        // Soon after a start the expectation is sharper than two looks 30 s apart.
        let expected = check(0.0, 0.0, V1_37);
        let seen = GcSchedule::seen(expected, at(290.0), at(320.0));
        assert_eq!((seen.earliest, seen.at, seen.latest), (at(300.152), at(300.406), at(305.511)));
        // Passes that deleted for long, and were not seen, have moved the schedule out of its bounds.
        let seen = GcSchedule::seen(expected, at(340.0), at(350.0));
        assert_eq!((seen.earliest, seen.at, seen.latest), (at(340.0), at(340.0), at(350.0)));
    }

    #[test]
    fn an_imagefs_signal_waits_for_a_new_figure_of_the_runtime() {
        let pass = |signal, seconds| {
            let schedule = GcSchedule::of(Start::of(at(0.0), V1_37)).measured_every(Span::from_secs(seconds));
            schedule.next_eviction_pass(signal, at(25.0))
        };
        let usual = GcSchedule::of(Start::of(at(0.0), V1_37)).next_eviction_pass(None, at(25.0));
        assert_eq!(pass(Some(Signal::ImagefsAvailable), 10), usual, "the default never bites");
        assert_eq!(pass(Some(Signal::NodefsAvailable), 60), usual);
        // Seen on both releases with 60 s: crossed between 30.5 and 40.6 and acted on at 61.1, and from 81.7 to 122.3.
        let slow = pass(Some(Signal::ImagefsAvailable), 60);
        assert_eq!((slow.earliest, slow.at, slow.latest), (usual.earliest, at(60.6), at(95.05)));
        let schedule = GcSchedule::of(Start::of(at(0.0), V1_37)).measured_every(Span::from_secs(60));
        for (crossed, acted) in [(35.0, 61.1), (75.0, 122.3)] {
            let acts =
                schedule.acts_at(Trigger::ImageEviction, Some(Signal::ImagefsAvailable), at(crossed), Span::ZERO);
            assert!(acts.earliest <= at(acted) && at(acted) <= acts.latest, "{acts:?}");
        }
    }

    #[test]
    fn a_loaded_image_is_seen_by_one_tick_and_can_go_at_the_next() {
        let chance = |loaded, age| {
            GcSchedule::of(Start::of(at(0.0), V1_37)).new_image_gc_eligible_at(at(loaded), Span::from_secs(age)).at
        };
        assert_eq!(chance(310.0, 120), at(900.218));
        assert_eq!(chance(599.0, 120), at(900.218));
        assert_eq!(chance(310.0, 0), at(600.212));
        assert_eq!(chance(310.0, 360), at(1_200.224));
        assert_eq!(chance(10.0, 300), at(600.212));
    }

    proptest! {
        #[test]
        fn the_next_check_lies_ahead_and_within_one_period(start in 0_i64..1 << 60, after in 0_i64..1 << 58, minor in 20_u32..40) {
            let started_at = Timestamp::from_micros(start);
            let now = Timestamp::from_micros(start + after);
            let next = GcSchedule::of(Start::of(started_at, Release::V1 { minor, patch: 0 })).next_check(now);
            prop_assert!(next.at > now);
            prop_assert!(next.at.since(now) <= Span::from_millis(307_400));
            prop_assert!(next.earliest <= next.at && next.at <= next.latest);
        }

        #[test]
        fn any_instants_give_an_answer(start: i64, now: i64, serving_after in -1_000_i64..1_000) {
            let (start, now) = (Timestamp::from_micros(start), Timestamp::from_micros(now));
            GcSchedule::of(Start::of(start, Release::Unknown)).next_check(now);
            let bounds = GcSchedule::of(Start::of(start, Release::Unknown)).next_check(now);
            GcSchedule::of(Start::of(start, Release::Unknown)).with(Some(GcSchedule::seen(bounds, now, start))).next_check(now);
            Start::of(start, Release::Unknown).next_eviction_pass(now);
            let serving = Start::of(start, Release::Unknown).serving(Some(start + Span::from_secs(serving_after)));
            prop_assert!(serving.first_pass().earliest >= start);
            GcSchedule::of(serving).next_check(now);
        }
    }
}
