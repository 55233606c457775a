//! When does a kubelet check its disk? The schedule of its image GC runs and eviction manager syncs, from the time it started.
//!
//! Mirrors `kubelet.go` StartGarbageCollection (every 5 minutes, counted from the end of the run before) and
//! `eviction/eviction_manager.go` Start (every 10 seconds, likewise). The first run comes a little after the process started,
//! on a busy machine much later; `cmd/kubelet/app/server.go` RunKubelet starts image GC and at once, in startKubelet, serves
//! pod resources, so that the age of that socket tells it well. The offsets were measured on kubelets 1.20.2 and 1.37.2.
//!
//! Does not know whether image GC is enabled, see `GcPolicy`. The drift of a long life is taken out by a run that was seen to
//! delete images.

use super::{Release, Rule, Signal, TriState, Trigger};
use crate::sample::KubeletSample;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// ImageGCPeriod in kubelet.go.
pub const GC_PERIOD: Span = Span::from_secs(300);

/// evictionMonitoringPeriod in kubelet.go is 10 s; the sync itself takes the rest.
pub const SYNC_PERIOD: Span = Span::from_millis(10_050);

/// Seen: a GC run comes 2 to 10 ms late each time and takes 1 ms where it deletes nothing.
const DRIFT_EARLIEST: Span = Span::from_millis(2);
const DRIFT: Span = Span::from_millis(6);
pub(super) const DRIFT_LATEST: Span = Span::from_millis(11);

/// Seen: 50 to 400 ms where images are deleted; thousands of images on a slow disk take longer.
const USUAL_DELETIONS: Span = Span::from_millis(200);
const LONGEST_DELETIONS: Span = Span::from_secs(5);

/// On a starved machine a kubelet was seen to take 6 s from the start of its process to its first GC run; k3s begins a server first.
const LONGEST_START: Span = Span::from_secs(600);

/// How far apart the time that a kubelet notes for an image and the one that is reckoned here may be: runs of a busy kubelet come
/// late, and its second loop, which only refreshes records, begins a moment after the first one. Without the age of the socket
/// the first run itself is known to some seconds only.
const RECORDED: Span = Span::from_secs(1);
const RECORDED_WITHOUT_SOCKET: Span = Span::from_secs(8);

/// An instant that is known to lie within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Not before.
    pub earliest: Timestamp,
    /// Most likely.
    pub at: Timestamp,
    /// Not after, unless the machine is starved of CPU or runs deleted many images.
    pub latest: Timestamp,
}

/// Since when a threshold is crossed: at some time between the last measurement above it and the first one below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    /// Not before; `None`: it was never seen above.
    pub earliest: Option<Timestamp>,
    /// Not after.
    pub latest: Timestamp,
}

/// What is known of the start of a kubelet; its GC runs are counted from there.
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

    /// The first image GC run (number 0). Where it is not seen since when the kubelet serves, it is taken from the
    /// start of the process: 0.15 to 0.5 s, 6.3 to 7.3 s where the kubelet probes for a cloud provider first; where the release
    /// is not known, anything between. On a machine that is starved of CPU it comes seconds later.
    ///
    /// GcRun 0 usually finds no disk statistics and deletes nothing; up to 1.28 always.
    pub fn first_gc_run(self) -> Expected {
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

    /// The GC run of a number counted from 0, the first one. The records of images are refreshed at these times whether image GC is
    /// enabled or not: a second loop of the same period does nothing else.
    pub fn gc_run(self, number: i64) -> Expected {
        nth(self.first_gc_run(), number)
    }

    /// The next eviction manager sync after `now`: the first one 0.1 s after the first GC run, then every 10.05 s.
    ///
    /// `at` is only good for the first few minutes; the bounds say that it is within one period from now, which is always
    /// true.
    pub fn next_eviction_sync(self, now: Timestamp) -> Expected {
        let first = self.first_gc_run().at + Span::from_millis(100);
        let syncs = if now < first { 0 } else { (now.since(first).micros() / SYNC_PERIOD.micros()).saturating_add(1) };
        let at = first + Span::from_micros(SYNC_PERIOD.micros().saturating_mul(syncs));
        let from = now.max(first);
        Expected { earliest: from, at: at.max(from), latest: from + SYNC_PERIOD }
    }

    /// How far the times that the kubelet notes in its records may be from the runs and syncs that they are reckoned by.
    pub const fn record_tolerance(self) -> Span {
        if self.serving_since.is_some() { RECORDED } else { RECORDED_WITHOUT_SOCKET }
    }
}

impl Expected {
    /// An instant that is known.
    pub const fn exactly(at: Timestamp) -> Self {
        Self { earliest: at, at, latest: at }
    }

    /// The same with wider bounds.
    #[must_use]
    pub fn widened(self, by: Span) -> Self {
        Self { earliest: self.earliest - by, latest: self.latest + by, ..self }
    }
}

impl Crossing {
    /// One whose time is known.
    pub const fn exactly(at: Timestamp) -> Self {
        Self { earliest: Some(at), latest: at }
    }

    /// Whether it may have lasted for a time at `now`.
    pub fn may_have_lasted(self, span: Span, now: Timestamp) -> bool {
        self.earliest.is_none_or(|earliest| now.since(earliest) >= span)
    }
}

impl From<&KubeletSample> for Start {
    fn from(kubelet: &KubeletSample) -> Self {
        Self::of(kubelet.started_at, Release::of(kubelet)).serving(kubelet.serving_since)
    }
}

/// The image GC runs of one kubelet: from its start, and from the last run that was seen to delete, if any was.
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

    /// The same, where the end of a run was seen: the next one is counted from there. This takes out the drift of all runs before,
    /// which is not known where they deleted something.
    #[must_use]
    pub const fn with(self, seen: Option<Expected>) -> Self {
        Self { seen, ..self }
    }

    /// The same beside a runtime that measures what its images use only so often: an imagefs signal waits for a new figure.
    #[must_use]
    pub const fn measured_every(self, stats_period: Span) -> Self {
        Self { stats_period, ..self }
    }

    /// The start of the kubelet.
    pub const fn start(&self) -> Start {
        self.start
    }

    /// The first run, see [`Start::first_gc_run`].
    pub fn first_gc_run(&self) -> Expected {
        self.start.first_gc_run()
    }

    /// The next image GC run after `now` that can delete images. Run 0 is never the answer, see [`Start::first_gc_run`].
    ///
    /// The bounds widen by 9 ms with each run; runs that delete something add 0.05 to 0.4 s each, which is not known here. A
    /// `now` before the start counts as the start.
    pub fn next_gc_run(&self, now: Timestamp) -> Expected {
        let from = self.seen.filter(|seen| seen.latest <= now).unwrap_or_else(|| self.first_gc_run());
        let step = GC_PERIOD.saturating_add(DRIFT).micros();
        let passed = now.since(from.at).micros().max(0) / step;
        nth(from, passed.saturating_add(1))
    }

    /// The next eviction manager sync after `now` that acts on a signal, see [`Start::next_eviction_sync`]. An imagefs signal is
    /// ignored until the runtime has measured anew, which containerd does every 10 s unless it is told otherwise: each sync then
    /// finds a new figure.
    pub fn next_eviction_sync(&self, signal: Option<Signal>, now: Timestamp) -> Expected {
        let sync = |after| self.start.next_eviction_sync(after);
        let next = sync(now);
        if !signal.is_some_and(Signal::is_imagefs) || self.stats_period <= SYNC_PERIOD {
            return next;
        }
        let half = Span::from_micros(self.stats_period.micros() / 2);
        Expected { at: sync(now + half).at, latest: next.latest + self.stats_period, ..next }
    }

    /// The end of a GC run that deleted images which were there at `after` and no more at `before`, in the light of what was
    /// known; `run` is that run as it was expected. An expectation that does not meet what was seen is dropped.
    pub fn seen(run: Expected, after: Timestamp, before: Timestamp) -> Expected {
        // Deletions take up to some seconds, and the run ends with the last one.
        let (earliest, latest) = (run.earliest.max(after), (run.latest + LONGEST_DELETIONS).min(before));
        let (earliest, latest) = if earliest <= latest { (earliest, latest) } else { (after, before) };
        Expected { earliest, at: (run.at + USUAL_DELETIONS).max(earliest).min(latest), latest }
    }

    /// The next sync after `now` that acts on a signal whose threshold is crossed: any, or for a soft one the first at which the
    /// grace period is over, which is counted from the sync that first saw the crossing.
    pub fn next_acting_sync(
        &self,
        signal: Signal,
        grace_period: Span,
        crossing: Option<Crossing>,
        now: Timestamp,
    ) -> Expected {
        let next = self.next_eviction_sync(Some(signal), now);
        if grace_period <= Span::ZERO {
            return next;
        }
        let acts = |crossed| self.acts_at(Trigger::ImageEviction, Some(signal), crossed, grace_period);
        let Crossing { earliest, latest } = crossing.unwrap_or(Crossing::exactly(now));
        // Never seen above: the grace period may be over at any time.
        let earliest = earliest.map_or(next.earliest, |earliest| acts(earliest).earliest.max(next.earliest));
        let last = acts(latest);
        Expected { earliest, at: last.at.max(next.at), latest: last.latest.max(next.latest) }
    }

    /// When a trigger acts whose threshold is crossed at `crossed` and stays so; for one crossed long ago, give the present.
    ///
    /// Image GC acts at the first run that sees the crossing. It decides on the figures of the latest eviction sync, so a run up
    /// to one sync period after the crossing may miss it. An eviction acts in the next sync, a soft one after its grace period,
    /// which is counted from the sync that first saw it; a full disk acts at once.
    pub fn acts_at(
        &self,
        trigger: Trigger,
        signal: Option<Signal>,
        crossed: Timestamp,
        grace_period: Span,
    ) -> Expected {
        match trigger {
            Trigger::ImageGc => {
                let (soonest, likely) = (self.next_gc_run(crossed), crossed + Span::from_secs(5));
                let latest = self.next_gc_run(crossed + SYNC_PERIOD).latest;
                Expected { earliest: soonest.earliest.max(crossed), at: self.next_gc_run(likely).at, latest }
            }
            Trigger::ImageEviction | Trigger::PodEviction | Trigger::InodeEviction => {
                let sees = self.next_eviction_sync(signal, crossed);
                if grace_period <= Span::ZERO {
                    return sees;
                }
                let until = |seen: Timestamp, syncs: i64| {
                    seen + grace_period + Span::from_micros(SYNC_PERIOD.micros().saturating_mul(syncs))
                };
                Expected { earliest: until(sees.earliest, 0), at: until(sees.at, 1), latest: until(sees.latest, 1) }
            }
            Trigger::DiskFull => Expected { earliest: crossed, at: crossed, latest: crossed },
        }
    }

    /// The first GC run that can delete an image that is loaded at `loaded` and never used: the next run is the first to see it, and
    /// it must then reach the minimum age. Eviction can delete it after the minimum age alone.
    pub fn new_image_gc_eligible_at(&self, loaded: Timestamp, minimum_age: Span) -> Expected {
        let seen = self.next_gc_run(loaded);
        // That run itself, where there is no minimum age; otherwise the first one that is late enough.
        self.next_gc_run(seen.at + minimum_age - Span::from_micros(1))
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
        GcSchedule::of(Start::of(at(started_at), release)).next_gc_run(at(now))
    }

    #[test]
    fn the_first_gc_run_that_deletes_comes_five_minutes_after_the_first_one() {
        let next = check(1000.0, 1000.0, V1_37);
        assert_eq!(next.at, at(1300.206));
        assert_eq!((next.earliest, next.latest), (at(1300.152), at(1300.511)));
        // Before 1.21 the first run came 6 to 7 s after the start.
        assert_eq!(check(1000.0, 1000.0, V1_20).at, at(1306.706));
    }

    #[test]
    fn gc_runs_follow_each_other_and_drift() {
        assert_eq!(check(0.0, 300.206, V1_37).at, at(600.212));
        assert_eq!(check(0.0, 600.211, V1_37).at, at(600.212));
        // A day later, 288 runs: 1.73 s of drift.
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
    fn eviction_syncs_come_every_ten_seconds() {
        assert_eq!(Start::of(at(0.0), V1_37).next_eviction_sync(at(0.0)).at, at(0.3));
        assert_eq!(Start::of(at(0.0), V1_37).next_eviction_sync(at(0.3)).at, at(10.35));
        assert_eq!(Start::of(at(0.0), V1_37).next_eviction_sync(at(25.0)).at, at(30.45));
        assert_eq!(Start::of(at(0.0), V1_37).next_eviction_sync(at(25.0)).latest, at(35.05));
    }

    /// Of 1.37.2, seen on a starved machine: process at .65, socket at 5.98, end of the first GC run at 6.00, the next one at 306.00.
    #[test]
    fn the_first_gc_run_is_told_by_the_socket_that_is_made_beside_it() {
        let process = Start::of(at(0.65), V1_37);
        let first = process.serving(Some(at(5.977))).first_gc_run();
        assert_eq!((first.earliest, first.at, first.latest), (at(5.777), at(5.997), at(6.277)));
        let next = GcSchedule::of(process.serving(Some(at(5.977)))).next_gc_run(at(290.0));
        assert!(next.earliest <= at(306.004) && at(306.004) <= next.latest, "{next:?}");
        // No release is needed for it, and no run comes before the process.
        assert_eq!(Start::of(at(0.65), Release::Unknown).serving(Some(at(5.977))).first_gc_run(), first);
        assert_eq!(process.serving(Some(at(0.7))).first_gc_run().earliest, at(0.65));
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
    fn image_gc_acts_at_the_first_run_that_sees_the_crossing() {
        let acts = |crossed| {
            GcSchedule::of(Start::of(at(0.0), V1_37)).acts_at(Trigger::ImageGc, None, at(crossed), Span::ZERO)
        };
        assert_eq!(acts(100.0).at, at(300.206));
        assert_eq!((acts(100.0).earliest, acts(100.0).latest), (at(300.152), at(300.511)));
        // So shortly before a run that it may use a number from before the crossing.
        assert_eq!((acts(299.0).earliest, acts(299.0).at, acts(299.0).latest), (at(300.152), at(600.212), at(600.522)));
        // Before the first run that can delete there is none.
        assert_eq!(acts(-50.0).at, at(300.206));
    }

    #[test]
    fn eviction_acts_in_the_next_sync_and_after_the_grace_period() {
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
    fn the_grace_period_runs_from_some_time_between_the_last_figure_above_and_the_first_below() {
        let schedule = GcSchedule::of(Start::of(at(0.0), V1_37));
        let acts = |crossing, now| {
            let acts = schedule.next_acting_sync(Signal::NodefsAvailable, Span::from_secs(30), crossing, at(now));
            (acts.earliest, acts.at, acts.latest)
        };
        let crossing = Crossing { earliest: Some(at(200.0)), latest: at(205.0) };
        assert_eq!(acts(Some(crossing), 210.0), (at(230.0), at(251.4), at(255.1)));
        // Over at the latest reckoning, too: every sync acts.
        assert_eq!(acts(Some(crossing), 300.0), (at(300.0), at(301.8), at(310.05)));
        // Not crossed: as if it were just now. Never seen above: it may be over.
        assert_eq!(acts(None, 210.0), (at(240.0), at(251.4), at(260.1)));
        assert_eq!(acts(Some(Crossing { earliest: None, latest: at(205.0) }), 210.0).0, at(210.0));
        assert!(crossing.may_have_lasted(Span::from_secs(30), at(230.0)));
        assert!(!crossing.may_have_lasted(Span::from_secs(30), at(229.0)));
    }

    #[test]
    fn a_gc_run_that_was_seen_sets_the_schedule_anew() {
        let seen = Expected { earliest: at(901.0), at: at(901.5), latest: at(902.0) };
        let schedule = GcSchedule::of(Start::of(at(0.0), V1_37)).with(Some(seen));
        let next = schedule.next_gc_run(at(1_000.0));
        assert_eq!((next.earliest, next.at, next.latest), (at(1_201.002), at(1_201.506), at(1_202.011)));
        assert_eq!(schedule.next_gc_run(at(1_300.0)).at, at(1_501.512));
        // Of the time before nothing is learned.
        assert_eq!(schedule.next_gc_run(at(650.0)).at, at(900.218));
    }

    #[test]
    fn a_burst_of_deletions_narrows_the_gc_run_down() {
        let ten_days = 10.0 * 86_400.0;
        let expected = check(0.0, ten_days, V1_37);
        assert!(expected.latest.since(expected.earliest) > Span::from_secs(25), "{expected:?}");
        // Images were there 3 s before and gone 4 s after the middle of it.
        let (after, before) = (expected.at - Span::from_secs(3), expected.at + Span::from_secs(4));
        let seen = GcSchedule::seen(expected, after, before);
        assert_eq!((seen.earliest, seen.at, seen.latest), (after, expected.at + Span::from_millis(200), before));
        let next = GcSchedule::of(Start::of(at(0.0), V1_37)).with(Some(seen)).next_gc_run(before);
        assert_eq!(next.at, seen.at + Span::from_millis(300_006));
        assert_eq!(next.latest.since(next.earliest), Span::from_millis(7_009));
        // Soon after a start the expectation is sharper than two lists 30 s apart.
        let expected = check(0.0, 0.0, V1_37);
        let seen = GcSchedule::seen(expected, at(290.0), at(320.0));
        assert_eq!((seen.earliest, seen.at, seen.latest), (at(300.152), at(300.406), at(305.511)));
        // Runs that deleted for long, and were not seen, have moved the schedule out of its bounds.
        let seen = GcSchedule::seen(expected, at(340.0), at(350.0));
        assert_eq!((seen.earliest, seen.at, seen.latest), (at(340.0), at(340.0), at(350.0)));
    }

    #[test]
    fn an_imagefs_signal_waits_for_a_new_figure_of_the_runtime() {
        let pass = |signal, seconds| {
            let schedule = GcSchedule::of(Start::of(at(0.0), V1_37)).measured_every(Span::from_secs(seconds));
            schedule.next_eviction_sync(signal, at(25.0))
        };
        let usual = GcSchedule::of(Start::of(at(0.0), V1_37)).next_eviction_sync(None, at(25.0));
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
    fn a_loaded_image_is_seen_by_one_gc_run_and_can_be_deleted_by_the_next() {
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
        fn the_next_gc_run_lies_ahead_and_within_one_period(start in 0_i64..1 << 60, after in 0_i64..1 << 58, minor in 20_u32..40) {
            let started_at = Timestamp::from_micros(start);
            let now = Timestamp::from_micros(start + after);
            let next = GcSchedule::of(Start::of(started_at, Release::V1 { minor, patch: 0 })).next_gc_run(now);
            prop_assert!(next.at > now);
            prop_assert!(next.at.since(now) <= Span::from_millis(307_400));
            prop_assert!(next.earliest <= next.at && next.at <= next.latest);
        }

        #[test]
        fn any_instants_give_an_answer(start: i64, now: i64, serving_after in -1_000_i64..1_000) {
            let (start, now) = (Timestamp::from_micros(start), Timestamp::from_micros(now));
            GcSchedule::of(Start::of(start, Release::Unknown)).next_gc_run(now);
            let bounds = GcSchedule::of(Start::of(start, Release::Unknown)).next_gc_run(now);
            GcSchedule::of(Start::of(start, Release::Unknown)).with(Some(GcSchedule::seen(bounds, now, start))).next_gc_run(now);
            Start::of(start, Release::Unknown).next_eviction_sync(now);
            let serving = Start::of(start, Release::Unknown).serving(Some(start + Span::from_secs(serving_after)));
            prop_assert!(serving.first_gc_run().earliest >= start);
            GcSchedule::of(serving).next_gc_run(now);
        }
    }
}
