//! Which parts of a snapshot belong together, and under which unique name are they shown?
//!
//! Joins sample and assessment once for all surfaces and makes names unique. It concludes nothing: what a thing means is
//! in the assessment.

use crate::assess::holders::{Holder, Nesting};
use crate::assess::{FilesystemAssessment, LayerAssessment, TriggerAssessment};
use crate::forecast::Tally;
use crate::model::{GcPolicy, Trigger};
use crate::sample::{
    AbsenceReason, Component, FilesystemId, FilesystemSample, LayerSample, Reading, Sample, Source, Space,
};
use crate::snapshot::{AgentHealth, Snapshot};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use crate::untrusted::Label;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A snapshot, joined.
#[derive(Debug)]
pub struct View<'a> {
    /// When it was sampled.
    pub at: Timestamp,
    /// When it is shown.
    pub now: Timestamp,
    /// What was seen, as it is.
    pub sample: &'a Sample,
    /// Its filesystems, in the order of the sample.
    pub filesystems: Vec<FilesystemView<'a>>,
    /// Its layers, parents first.
    pub layers: Vec<LayerView<'a>>,
    /// How the agent is.
    pub agent: &'a AgentHealth,
    /// How right its forecasts were, by trigger.
    pub scores: &'a BTreeMap<Trigger, Tally>,
}

/// A filesystem, joined.
#[derive(Debug)]
pub struct FilesystemView<'a> {
    /// The device; together with the mountpoint unique among the filesystems.
    pub device: Arc<str>,
    /// The mountpoint.
    pub mountpoint: Arc<str>,
    /// What was seen.
    pub sample: &'a FilesystemSample,
    /// What it means.
    pub assessment: Option<&'a FilesystemAssessment>,
}

/// A layer, joined.
#[derive(Debug)]
pub struct LayerView<'a> {
    /// Its name, unique among the layers.
    pub name: Arc<str>,
    /// How many layers it lives in; 0 for the outermost.
    pub depth: usize,
    /// What was seen.
    pub sample: &'a LayerSample,
    /// What it means.
    pub assessment: Option<&'a LayerAssessment>,
    /// Position in [`View::filesystems`] of the filesystem of its images.
    pub imagefs: Option<usize>,
    /// Position in [`View::filesystems`] of the filesystem of its kubelet.
    pub nodefs: Option<usize>,
    /// What it holds by component, over all filesystems; `None` where one it lives on has not been walked since it is there.
    pub held: Option<BTreeMap<Component, Bytes>>,
}

/// Something that could not be read or understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem<'a> {
    /// The filesystem or layer it concerns.
    pub whose: Arc<str>,
    /// Which source or part.
    pub what: &'a str,
    /// The reason.
    pub why: String,
}

/// After how many missed rounds a snapshot says nothing of the present any more.
const STALE_AFTER_ROUNDS: i64 = 10;
/// Never earlier than this, however short the rounds: a machine under load may pause for some seconds.
const STALE_AFTER_AT_LEAST: Span = Span::from_secs(60);

impl<'a> View<'a> {
    /// Joins the parts of a snapshot to be shown at `now`.
    pub fn new(snapshot: &'a Snapshot, now: Timestamp) -> Self {
        let filesystems = filesystems(snapshot);
        let layers = layers(snapshot, &filesystems);
        let (agent, scores) = (&snapshot.agent, &snapshot.assessment.scores);
        Self { at: snapshot.sample.at, now, sample: &snapshot.sample, filesystems, layers, agent, scores }
    }

    /// Whether the sample is so old that the agent must have stopped sampling: older than ten rounds and than a minute.
    pub fn is_stale(&self) -> bool {
        let rounds = Span::from_micros(self.agent.sample_interval.micros().saturating_mul(STALE_AFTER_ROUNDS));
        self.now.since(self.at) > rounds.max(STALE_AFTER_AT_LEAST)
    }

    /// The filesystem of a layer's images.
    pub fn imagefs(&self, layer: &LayerView<'_>) -> Option<&FilesystemView<'a>> {
        layer.imagefs.and_then(|position| self.filesystems.get(position))
    }

    /// Everything that could not be read or understood, filesystems first.
    pub fn problems(&self) -> Vec<Problem<'a>> {
        let mut problems = Vec::new();
        for disk in &self.filesystems {
            let mut add = |what, why| problems.push(Problem { whose: Arc::clone(&disk.mountpoint), what, why });
            if let Some(absence) = disk.sample.space.absence() {
                add("statfs", absence.to_string());
            }
            if disk.sample.stuck {
                add("statfs", "has not come back".to_owned());
            }
            if let Some(absence) =
                disk.sample.usage.absence().filter(|absence| absence.reason != AbsenceReason::NotRead)
            {
                add("usage", absence.to_string());
            }
        }
        for layer in &self.layers {
            let mut add = |what, why| problems.push(Problem { whose: Arc::clone(&layer.name), what, why });
            for (source, state) in layer.sources() {
                if let Some(absence) = state.absence() {
                    add(source.as_str(), absence.to_string());
                }
            }
            for problem in layer.policy().into_iter().flat_map(|policy| &policy.problems) {
                add("policy", problem.to_string());
            }
        }
        for run in self.agent.collectors.iter().filter(|run| !run.success) {
            problems.push(Problem {
                whose: "highwater".into(),
                what: "step",
                why: format!("{} failed in the last round", Label::new(&run.collector)),
            });
        }
        problems
    }

    /// Who holds the bytes of all filesystems, most first, and what belongs to no layer. Empty where no walk has counted yet.
    pub fn holders(&self) -> (Vec<Holder<'a>>, Bytes) {
        let held = self.layers.iter().filter_map(|layer| Some((&layer.sample.id, layer.held.as_ref()?)));
        Nesting::of(self.sample).holders(held)
    }

    /// Smaller is more urgent: that of the most urgent trigger on a filesystem.
    pub fn urgency(&self, disk: &FilesystemView<'_>) -> (i64, i64) {
        let triggers = self.layers.iter().flat_map(|layer| layer.triggers().into_values());
        let here = triggers.filter(|trigger| trigger.filesystem == disk.sample.id);
        here.map(urgency_of).min().unwrap_or((i64::MAX, i64::MAX))
    }

    /// The filesystem with this identity.
    pub fn filesystem(&self, id: FilesystemId) -> Option<&FilesystemView<'a>> {
        self.filesystems.iter().find(|filesystem| filesystem.sample.id == id)
    }
}

impl FilesystemView<'_> {
    /// Its numbers, where it could be measured.
    pub fn space(&self) -> Option<&Space> {
        self.sample.space.value()
    }
}

impl<'a> LayerView<'a> {
    /// The settings in force, where they are known.
    pub fn policy(&self) -> Option<&'a GcPolicy> {
        self.assessment?.policy.as_ref()
    }

    /// The armed triggers, each once, the more urgent where one is named twice.
    pub fn triggers(&self) -> BTreeMap<Trigger, &'a TriggerAssessment> {
        let mut nearest: BTreeMap<Trigger, &TriggerAssessment> = BTreeMap::new();
        for trigger in self.assessment.iter().flat_map(|assessment| &assessment.triggers) {
            let entry = nearest.entry(trigger.trigger).or_insert(trigger);
            if urgency_of(trigger) < urgency_of(entry) {
                *entry = trigger;
            }
        }
        nearest
    }

    /// The trigger that acts first: by the forecast of its action, and where none is foreseen by headroom.
    pub fn first_trigger(&self) -> Option<&'a TriggerAssessment> {
        self.triggers().into_values().min_by_key(|trigger| urgency_of(trigger))
    }

    /// Smaller is more urgent: when the first trigger expected_triggers, and where none is foreseen how near it is.
    pub fn urgency(&self) -> (i64, i64) {
        self.first_trigger().map_or((i64::MAX, i64::MAX), urgency_of)
    }

    /// What could be read, each source once; the failure where one is named twice.
    pub fn sources(&self) -> BTreeMap<Source, &'a Reading<()>> {
        let mut sources: BTreeMap<Source, &Reading<()>> = BTreeMap::new();
        for status in &self.sample.sources {
            let entry = sources.entry(status.source).or_insert(&status.state);
            if status.state.value().is_none() {
                *entry = &status.state;
            }
        }
        sources
    }

    /// The part of its name that its parent's does not have.
    pub fn short_name(&self) -> &str {
        let parent = self.sample.parent.as_ref().map_or("", crate::layer::LayerId::as_str);
        self.name.strip_prefix(parent).and_then(|rest| rest.strip_prefix('/')).unwrap_or(&self.name)
    }

    /// When its kubelet looks next whether images must go, where that is known and would delete any.
    pub fn next_image_gc_at(&self) -> Option<Timestamp> {
        self.policy().filter(|policy| policy.image_gc.enabled)?;
        self.assessment?.next_image_gc_at
    }

    /// All that it holds itself; what no layer claims is counted for the outermost one but is not its own.
    pub fn held_total(&self) -> Option<Bytes> {
        let held = self.held.as_ref()?.iter().filter(|(component, _)| **component != Component::Other);
        Some(held.fold(Bytes::ZERO, |sum, (_, bytes)| sum.saturating_add(*bytes)))
    }
}

fn urgency_of(trigger: &TriggerAssessment) -> (i64, i64) {
    urgency(Some(trigger.trigger), trigger.action.and_then(|action| action.p50), trigger.headroom)
}

/// Smaller is more urgent. Inodes and bytes are not comparable, so inodes count as if each were an average file of 16 KiB.
pub(super) fn urgency(trigger: Option<Trigger>, median: Option<Span>, headroom: Option<i64>) -> (i64, i64) {
    let scale = if trigger == Some(Trigger::InodeEviction) { 16 << 10 } else { 1 };
    (median.map_or(i64::MAX, Span::micros), headroom.unwrap_or(i64::MAX).saturating_mul(scale))
}

fn filesystems(snapshot: &Snapshot) -> Vec<FilesystemView<'_>> {
    let mut ids = BTreeSet::new();
    let mut names: BTreeSet<(Arc<str>, Arc<str>)> = BTreeSet::new();
    let mut views = Vec::new();
    for (position, sample) in snapshot.sample.filesystems.iter().enumerate() {
        if !ids.insert(sample.id) {
            continue;
        }
        let device: Arc<str> = sample.name.device.as_str().into();
        let own = sample.name.mountpoint.as_str();
        // The identity makes the name unique and stays the same from one scrape to the next.
        let named_twice =
            snapshot.sample.filesystems.iter().any(|other| other.id != sample.id && other.name == sample.name);
        let wanted = if named_twice {
            let id = sample.id;
            format!("{own} ({}:{}, {} bytes, {} inodes)", id.major(), id.minor(), id.capacity.get(), id.files.get())
        } else {
            own.to_owned()
        };
        let mountpoint = unique(&wanted, |name| names.insert((Arc::clone(&device), name)));
        let assessment = at_or_anywhere(&snapshot.assessment.filesystems, position, |found| found.id == sample.id);
        views.push(FilesystemView { device, mountpoint, sample, assessment });
    }
    views
}

fn layers<'a>(snapshot: &'a Snapshot, filesystems: &[FilesystemView<'a>]) -> Vec<LayerView<'a>> {
    let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    let mut views = Vec::new();
    for (position, sample) in snapshot.sample.layers.iter().enumerate() {
        let name = unique(sample.id.as_str(), |name| names.insert(name));
        let depth = sample.parent.as_ref().and_then(|parent| depths.get(parent.as_str())).map_or(0, |depth| depth + 1);
        depths.entry(sample.id.as_str()).or_insert(depth);
        let place = |id: &Reading<FilesystemId>| {
            id.value().and_then(|id| filesystems.iter().position(|filesystem| filesystem.sample.id == *id))
        };
        let (imagefs, nodefs) = (place(&sample.imagefs), place(&sample.nodefs));
        // Two layers of one name cannot be told apart in a walk's result; the first of them is given it.
        let held = if *name == *sample.id.as_str() { held(sample, filesystems, [imagefs, nodefs]) } else { None };
        let assessment = at_or_anywhere(&snapshot.assessment.layers, position, |found| found.id == sample.id);
        views.push(LayerView { name, depth, sample, assessment, imagefs, nodefs, held });
    }
    views
}

/// `None` where a filesystem that the layer lives on has not been walked since the layer is there: then its bytes are in the
/// figures of another layer, or in none.
fn held(
    layer: &LayerSample,
    filesystems: &[FilesystemView<'_>],
    lives_on: [Option<usize>; 2],
) -> Option<BTreeMap<Component, Bytes>> {
    let there_since = layer.runtime.as_ref().map(|runtime| runtime.started_at);
    for position in lives_on {
        let Reading::Present { value, at } = &filesystems.get(position?)?.sample.usage else { return None };
        let seen = value.layers.iter().any(|held| held.layer == layer.id);
        if !seen && there_since.is_some_and(|since| since > *at) {
            return None;
        }
    }
    let mut sums: BTreeMap<Component, Bytes> = BTreeMap::new();
    let parts = filesystems
        .iter()
        .filter_map(|filesystem| filesystem.sample.usage.value())
        .flat_map(|usage| &usage.layers)
        .filter(|usage| usage.layer == layer.id)
        .flat_map(|usage| &usage.components);
    for (component, bytes) in parts {
        let sum = sums.entry(*component).or_insert(Bytes::ZERO);
        *sum = sum.saturating_add(*bytes);
    }
    Some(sums)
}

/// The element at `position` if it is the one, else the one found by searching.
fn at_or_anywhere<T>(all: &[T], position: usize, is_it: impl Fn(&T) -> bool) -> Option<&T> {
    all.get(position).filter(|found| is_it(found)).or_else(|| all.iter().find(|found| is_it(found)))
}

/// `wanted`, or the first of `wanted#2`, `wanted#3`, ... that `claim` accepts.
fn unique(wanted: &str, mut claim: impl FnMut(Arc<str>) -> bool) -> Arc<str> {
    let mut name: Arc<str> = wanted.into();
    let mut number = 2_u64;
    while !claim(Arc::clone(&name)) {
        name = format!("{wanted}#{number}").into();
        number += 1;
    }
    name
}
