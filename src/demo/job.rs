//! What does one test job do to the disk, and when? The plan of one job; nothing in it depends on the disk.

use super::random::Random;
use crate::layer::{LayerId, LayerKind};
use crate::sample::Component;
use crate::time::Span;

/// One round of the story: a job, and five minutes of quiet after it. A multiple of the kubelet's five minutes, so that the
/// host's checks fall at the same place in every round.
pub(super) const ROUND: Span = Span::from_secs(85 * 60);
/// When the job's pod starts and ends.
pub(super) const JOB_START: Span = Span::from_secs(60);
pub(super) const JOB_END: Span = Span::from_secs(80 * 60);
/// How long the host takes to delete the files of the pod.
pub(super) const CLEAN_UP: Span = Span::from_secs(45);

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Host,
    Dind,
    Node(usize),
}

/// How a node's kubelet is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setup {
    /// As kind writes it: image GC and evictions off, in the file.
    Kind,
    /// CAPD before v1.8.11: evictions off by flags, image GC left at the kubelet's 85/80.
    OldCapd,
    /// CAPD since: image GC off by flag too.
    NewCapd,
}

/// A node container.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) setup: Setup,
    pub(super) role: &'static str,
    pub(super) cluster: String,
    /// When it appears, after the start of the round.
    pub(super) appears: Span,
    pub(super) runtime_pid: u32,
    pub(super) kubelet_pid: u32,
}

/// Bytes written evenly over a time.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) holder: Holder,
    pub(super) component: Component,
    pub(super) from: Span,
    pub(super) lasts: Span,
    /// In GiB.
    pub(super) gib: f64,
}

/// One job.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) pod: String,
    pub(super) build_id: String,
    pub(super) container: String,
    pub(super) nodes: Vec<Node>,
    pub(super) writes: Vec<Write>,
}

/// What the disk holds when the fast part of the job is over: somewhat under the 221.2 GiB at which image GC trips.
const AFTER_BURSTS: [f64; 2] = [212.5, 215.5];
/// GiB a minute from then on, 8 MiB/s: slow enough that a five-minute check comes before the 2.8 GiB between the threshold of
/// image GC and that of the host's eviction are gone.
const SLOW: f64 = 8.0 * 60.0 / 1_024.0;

impl Job {
    pub(super) fn new(random: &mut Random, idle_gib: f64) -> Self {
        let id = random.next();
        let cluster = format!("self-hosted-{:06x}", random.next() & 0xff_ffff);
        let node = |name, setup, role, minute: i64, pid| Node {
            name,
            setup,
            role,
            cluster: if setup == Setup::Kind { "bootstrap".to_owned() } else { cluster.clone() },
            appears: Span::from_secs(minute * 60),
            runtime_pid: pid,
            kubelet_pid: pid + 61,
        };
        let nodes = vec![
            node("bootstrap-control-plane", Setup::Kind, "control-plane", 10, 31_020),
            node("capd-old-worker", Setup::OldCapd, "worker", 18, 42_310),
            node("capd-new-worker", Setup::NewCapd, "worker", 22, 51_870),
        ];
        let mut job = Self {
            pod: format!("{:08x}-e2e", id >> 32),
            build_id: format!("19{:017}", id % 100_000_000_000_000_000),
            container: format!("{:016x}{:016x}", id, random.next()),
            nodes,
            writes: Vec::new(),
        };
        // Who fills what, between which minutes, how much, in how many bursts.
        job.bursts(random, Holder::Dind, Component::Store, [1.5, 11.0], 34.0, 8);
        job.bursts(random, Holder::Dind, Component::Volumes, [2.0, 40.0], 3.0, 5);
        job.bursts(random, Holder::Node(0), Component::Store, [10.5, 20.0], 22.0, 7);
        job.bursts(random, Holder::Node(0), Component::Kubelet, [12.0, 60.0], 1.5, 6);
        job.bursts(random, Holder::Node(1), Component::Store, [18.5, 34.0], 38.0, 10);
        job.bursts(random, Holder::Node(1), Component::Kubelet, [20.0, 60.0], 1.5, 6);
        job.bursts(random, Holder::Node(2), Component::Store, [22.5, 40.0], 35.0, 9);
        job.bursts(random, Holder::Node(2), Component::Kubelet, [24.0, 60.0], 1.5, 6);
        // Images saved as tar archives between the loads: whatever is missing at the end of the bursts.
        let so_far: f64 = job.writes.iter().map(|write| write.gib).sum();
        let rest = random.between(AFTER_BURSTS[0], AFTER_BURSTS[1]) - idle_gib - so_far;
        job.bursts(random, Holder::Dind, Component::Volumes, [40.0, 48.0], rest.max(1.0), 6);
        // Then the tests run, and write logs and artifacts.
        for minute in 48..80 {
            job.writes.push(Write {
                holder: Holder::Dind,
                component: Component::Volumes,
                from: Span::from_secs(minute * 60),
                lasts: Span::from_secs(60),
                gib: SLOW * random.between(0.7, 1.3),
            });
        }
        job
    }

    /// Writes of uneven size and pause that sum to `gib` between two minutes.
    fn bursts(
        &mut self,
        random: &mut Random,
        holder: Holder,
        component: Component,
        [from, to]: [f64; 2],
        gib: f64,
        count: u32,
    ) {
        let weights: Vec<f64> = (0..count).map(|_| random.between(0.4, 1.6)).collect();
        let all: f64 = weights.iter().sum();
        let slot = (to - from) / f64::from(count) * 60.0;
        let mut start = from * 60.0;
        for weight in weights {
            self.writes.push(Write {
                holder,
                component,
                from: Span::from_secs_f64(start + slot * random.between(0.0, 0.3)),
                lasts: Span::from_secs_f64(slot * random.between(0.3, 0.7)),
                gib: gib * weight / all,
            });
            start += slot;
        }
    }

    /// The name of the layer that the job's dockerd is.
    pub(super) fn layer(&self) -> LayerId {
        LayerId::host().child(&["test-pods", &self.pod])
    }
}

impl Setup {
    pub(super) const fn kind(self) -> LayerKind {
        match self {
            Self::Kind => LayerKind::KindNode,
            Self::OldCapd | Self::NewCapd => LayerKind::CapdNode,
        }
    }
}

impl Write {
    /// GiB written by `at`, after the start of the round.
    pub(super) fn done(&self, at: Span) -> f64 {
        let since = Span::from_micros(at.micros().saturating_sub(self.from.micros())).as_secs_f64();
        self.gib * (since / self.lasts.as_secs_f64().max(1.0)).clamp(0.0, 1.0)
    }
}
