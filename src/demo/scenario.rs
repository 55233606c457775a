//! What is seen of the made-up node, sample by sample?

use super::disk::{self, Event, IDLE_GIB, Unused};
use super::job::{Holder, JOB_END, JOB_START, Job, ROUND, Setup};
use super::layers;
use super::random::Random;
use crate::layer::LayerId;
use crate::sample::{DiskUsage, FilesystemName, FilesystemSample, Reading, Sample};
use crate::time::{Span, Timestamp};
use crate::untrusted::Label;

/// Samples of a three-layer node whose disk fills over about an hour, without end: a job of 80 minutes, five minutes of quiet,
/// the next job. One sample for every five seconds of virtual time.
///
/// In each round the disk crosses 84 % about 63 minutes after its start, and the next check of a kubelet whose image GC is on
/// deletes images, normally that of the old CAPD node; at the end of the job everything is given back.
///
/// ```
/// use highwater::demo::Scenario;
/// use highwater::time::{Span, Timestamp};
///
/// let start = Timestamp::from_secs_f64(1_795_500_000.0);
/// let mut scenario = Scenario::new(7, start);
/// let sample = scenario.next().expect("a scenario has no end");
/// assert_eq!(sample.at, start);
/// assert_eq!(sample.layers.len(), 1);
/// let later = scenario.nth(12 * 30 - 1).expect("a scenario has no end");
/// assert_eq!(later.at, start + Span::from_secs(1_800));
/// assert_eq!(later.layers.len(), 5);
/// ```
#[derive(Debug, Clone)]
pub struct Scenario {
    random: Random,
    now: Timestamp,
    boot: Timestamp,
    round: Timestamp,
    job: Job,
    unused: Unused,
    walk: Reading<DiskUsage>,
    last_walk: Option<Timestamp>,
}

/// How often the made-up walk counts who holds what.
const WALK_EVERY: Span = Span::from_secs(300);

impl Scenario {
    /// Virtual time from one sample to the next.
    pub const STEP: Span = Span::from_secs(5);

    /// The story of this seed, beginning at `start` with an idle node.
    pub fn new(seed: u64, start: Timestamp) -> Self {
        let mut random = Random::new(seed);
        // Up for three days; the host's checks come a little after those of the old CAPD node, see `layers::kubelet_start`.
        let boot = start - Span::from_secs(3 * 86_400) + Span::from_secs(18 * 60 + 65);
        let job = Job::new(&mut random, IDLE_GIB);
        Self {
            random,
            now: start,
            boot,
            round: start,
            job,
            unused: Unused::new(),
            walk: Reading::not_read(),
            last_walk: None,
        }
    }

    /// The next sample; there is always one.
    pub fn advance(&mut self) -> Sample {
        self.pass();
        let sample = self.sample();
        self.now = self.now + Self::STEP;
        sample
    }

    /// Lets the time from the previous sample to `self.now` pass.
    fn pass(&mut self) -> Vec<Event> {
        let before = self.now - Self::STEP;
        if self.now.since(self.round) >= ROUND {
            self.round = self.round + ROUND;
            self.job = Job::new(&mut self.random, IDLE_GIB);
            self.unused.renew();
        }
        let at = self.now.since(self.round);
        let mut looking = Vec::new();
        for (position, node) in self.job.nodes.iter().enumerate() {
            let runs = at < JOB_END && node.setup == Setup::OldCapd;
            if runs && disk::looks_between(layers::kubelet_start(node, self.round), before, self.now) {
                looking.push(Holder::Node(position));
            }
        }
        if disk::looks_between(self.boot, before, self.now) {
            looking.push(Holder::Host);
        }
        self.unused.check(&self.job, at, &looking)
    }

    fn sample(&mut self) -> Sample {
        let at = self.now.since(self.round);
        let held = self.unused.held(&self.job, at);
        if self.last_walk.is_none_or(|last| self.now.since(last) >= WALK_EVERY) {
            self.last_walk = Some(self.now);
            self.walk = Reading::present(held.usage(|holder| layers::name(&self.job, holder)), self.now);
        }
        let mut layers = vec![layers::host(&self.job, &held, &self.unused, self.now, self.boot)];
        if (JOB_START..JOB_END).contains(&at) {
            layers.push(layers::dind(&self.job, self.round + JOB_START, self.now));
            let there = self.job.nodes.iter().enumerate().filter(|(_, node)| node.appears <= at);
            layers.extend(there.map(|(position, node)| {
                layers::node(&self.job, position, node, &held, &self.unused, self.round, self.now)
            }));
        }
        let name = FilesystemName { device: Label::new("/dev/nvme0n1p1"), mountpoint: Label::new("/") };
        let filesystem = FilesystemSample {
            id: disk::ID,
            name,
            space: Reading::present(held.space(), self.now),
            stuck: false,
            usage: self.walk_of(&layers.iter().map(|layer| layer.id.clone()).collect::<Vec<_>>()),
        };
        Sample { at: self.now, filesystems: vec![filesystem], layers }
    }

    /// The last walk, without the layers that have gone since.
    fn walk_of(&self, there: &[LayerId]) -> Reading<DiskUsage> {
        self.walk.clone().map(|mut usage| {
            usage.layers.retain(|held| there.contains(&held.layer));
            usage
        })
    }
}

impl Iterator for Scenario {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        Some(self.advance())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::LayerKind;
    use crate::units::Bytes;

    const START: Timestamp = Timestamp::from_micros(1_795_500_000_000_000);

    fn samples(seed: u64, minutes: usize) -> Vec<Sample> {
        Scenario::new(seed, START).take(minutes * 12).collect()
    }

    /// Every step of a round: bytes available, and what kubelets deleted just before.
    fn round(seed: u64) -> Vec<(Bytes, Vec<Event>)> {
        let mut scenario = Scenario::new(seed, START);
        let mut steps = Vec::new();
        while scenario.now < START + ROUND {
            let events = scenario.pass();
            let held = scenario.unused.held(&scenario.job, scenario.now.since(START));
            steps.push((held.space().available, events));
            scenario.now = scenario.now + Scenario::STEP;
        }
        steps
    }

    /// 16 % of 280 GiB and what is written in one step: a check in the very step of the crossing hides it.
    const CROSSED: Bytes = Bytes::from_mib(45_876 + 60);

    #[test]
    fn the_same_seed_tells_the_same_story() {
        assert_eq!(samples(3, 90), samples(3, 90));
        assert_ne!(samples(3, 10), samples(4, 10));
    }

    #[test]
    fn the_disk_fills_past_84_percent_and_is_given_back_at_the_end_of_the_job() {
        for seed in 0..20 {
            let round = round(seed);
            let least = round.iter().map(|(available, _)| *available).min().unwrap();
            assert!(least < CROSSED, "seed {seed}: {least}");
            assert_eq!(round[0].0, Bytes::from_gib(205));
            // More than at the start where the host has deleted images of its own.
            let at_the_end = round.last().unwrap().0;
            assert!((205..=218).contains(&(at_the_end.get() >> 30)), "seed {seed}: {at_the_end}");
        }
    }

    #[test]
    fn in_every_round_a_kubelet_deletes_images_within_five_minutes_of_the_crossing() {
        for seed in 0..20 {
            let round = round(seed);
            let crossing = round.iter().position(|(available, _)| *available < CROSSED);
            let acted = round.iter().position(|(_, events)| !events.is_empty());
            let (Some(crossing), Some(acted)) = (crossing, acted) else {
                panic!("seed {seed}: {crossing:?}, {acted:?}")
            };
            assert!((crossing.saturating_sub(1)..=crossing + 60).contains(&acted), "seed {seed}: {crossing}, {acted}");
            assert!((50 * 12..78 * 12).contains(&crossing), "seed {seed}: {crossing}");
            assert!(matches!(round[acted].1[0], Event::ImageGc(_, 1..)), "seed {seed}: {:?}", round[acted].1);
        }
    }

    #[test]
    fn mostly_it_is_the_old_capd_node_that_deletes() {
        let first = |seed| round(seed).into_iter().find_map(|(_, events)| events.first().copied());
        let of_old_capd =
            (0..20).filter(|seed| matches!(first(*seed), Some(Event::ImageGc(Holder::Node(1), _)))).count();
        assert!(of_old_capd >= 16, "{of_old_capd} of 20");
    }

    #[test]
    fn layers_come_in_the_order_of_the_story_and_go_together() {
        let round = samples(1, 85);
        let kinds = |minute: usize| round[minute * 12].layers.iter().map(|layer| layer.kind).collect::<Vec<_>>();
        assert_eq!(kinds(0), [LayerKind::Host]);
        assert_eq!(kinds(2), [LayerKind::Host, LayerKind::Dind]);
        assert_eq!(
            kinds(30),
            [LayerKind::Host, LayerKind::Dind, LayerKind::KindNode, LayerKind::CapdNode, LayerKind::CapdNode]
        );
        assert_eq!(kinds(81), [LayerKind::Host]);
    }

    #[test]
    fn what_the_layers_hold_sums_to_what_is_used_while_nothing_goes() {
        for sample in samples(5, 80) {
            let usage = sample.filesystems[0].usage.value().unwrap();
            let sum = usage.layers.iter().fold(Bytes::ZERO, |sum, held| sum.saturating_add(held.total()));
            assert_eq!(sum, usage.used, "{}", sample.at);
        }
    }
}
