//! Which parts of a snapshot belong together, and under which unique name?

use crate::assess::{FilesystemAssessment, LayerAssessment};
use crate::layer::LayerId;
use crate::report::Text;
use crate::sample::{Component, FilesystemId, FilesystemSample, LayerSample, Reading, Sample};
use crate::snapshot::Snapshot;
use crate::units::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A snapshot, joined.
pub(super) struct Joined<'a> {
    pub(super) sample: &'a Sample,
    /// In the order of the sample, each once.
    pub(super) disks: Vec<Disk<'a>>,
    /// Parents first.
    pub(super) layers: Vec<Layer<'a>>,
}

/// A filesystem, joined.
pub(super) struct Disk<'a> {
    pub(super) device: Text,
    pub(super) mountpoint: Text,
    pub(super) sample: &'a FilesystemSample,
    pub(super) assessment: Option<&'a FilesystemAssessment>,
}

/// A layer, joined.
pub(super) struct Layer<'a> {
    pub(super) name: Text,
    pub(super) depth: usize,
    pub(super) sample: &'a LayerSample,
    pub(super) assessment: Option<&'a LayerAssessment>,
    /// What it holds by component, over all filesystems; `None` where one it lives on has not been walked since it is there.
    pub(super) exclusive: Option<BTreeMap<Component, Bytes>>,
}

impl<'a> Joined<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let disks = disks(snapshot);
        let layers = layers(snapshot, &disks);
        Self { sample: &snapshot.sample, disks, layers }
    }

    /// The filesystem with this identity.
    pub(super) fn disk(&self, id: &Reading<FilesystemId>) -> Option<&Disk<'a>> {
        self.disk_of(*id.value()?)
    }

    /// Likewise.
    pub(super) fn disk_of(&self, id: FilesystemId) -> Option<&Disk<'a>> {
        self.disks.iter().find(|disk| disk.sample.id == id)
    }

    /// The first layer with this identity.
    pub(super) fn layer(&self, id: &LayerId) -> Option<&Layer<'a>> {
        self.layers.iter().find(|layer| layer.sample.id == *id)
    }

    /// The name of the layer with this identity.
    pub(super) fn name(&self, id: &LayerId) -> Text {
        self.layer(id).map_or_else(|| id.as_str().into(), |layer| layer.name.clone())
    }

    /// The exclusive bytes of each layer, where they are known.
    pub(super) fn exclusive(&self) -> impl Iterator<Item = (&LayerId, &BTreeMap<Component, Bytes>)> {
        self.layers.iter().filter_map(|layer| Some((&layer.sample.id, layer.exclusive.as_ref()?)))
    }
}

fn disks(snapshot: &Snapshot) -> Vec<Disk<'_>> {
    let mut ids = BTreeSet::new();
    let mut names: BTreeSet<(&str, Text)> = BTreeSet::new();
    let mut disks = Vec::new();
    for (position, sample) in snapshot.sample.filesystems.iter().enumerate() {
        if !ids.insert(sample.id) {
            continue;
        }
        let device = sample.name.device.as_str();
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
        let mountpoint = unique(&wanted, |name| names.insert((device, name)));
        let assessment = at_or_anywhere(&snapshot.assessment.filesystems, position, |found| found.id == sample.id);
        disks.push(Disk { device: device.into(), mountpoint, sample, assessment });
    }
    disks
}

fn layers<'a>(snapshot: &'a Snapshot, disks: &[Disk<'a>]) -> Vec<Layer<'a>> {
    let mut names: BTreeSet<Text> = BTreeSet::new();
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    let mut layers = Vec::new();
    for (position, sample) in snapshot.sample.layers.iter().enumerate() {
        let name = unique(sample.id.as_str(), |name| names.insert(name));
        let depth = sample.parent.as_ref().and_then(|parent| depths.get(parent.as_str())).map_or(0, |depth| depth + 1);
        depths.entry(sample.id.as_str()).or_insert(depth);
        // Two layers of one name cannot be told apart in a walk's result; the first of them is given it.
        let exclusive = if *name == *sample.id.as_str() { exclusive(sample, disks) } else { None };
        let assessment = at_or_anywhere(&snapshot.assessment.layers, position, |found| found.id == sample.id);
        layers.push(Layer { name, depth, sample, assessment, exclusive });
    }
    layers
}

/// `None` where a filesystem that the layer lives on has not been walked since the layer is there: then its bytes are in the
/// figures of another layer, or in none.
fn exclusive(layer: &LayerSample, disks: &[Disk<'_>]) -> Option<BTreeMap<Component, Bytes>> {
    let there_since = layer.runtime.as_ref().map(|runtime| runtime.started_at);
    for id in [&layer.imagefs, &layer.nodefs] {
        let id = id.value()?;
        let disk = disks.iter().find(|disk| disk.sample.id == *id)?;
        let Reading::Present { value, at } = &disk.sample.usage else { return None };
        let seen = value.layers.iter().any(|held| held.layer == layer.id);
        if !seen && there_since.is_some_and(|since| since > *at) {
            return None;
        }
    }
    let mut sums: BTreeMap<Component, Bytes> = BTreeMap::new();
    let usages = disks.iter().filter_map(|disk| disk.sample.usage.value()).flat_map(|usage| &usage.layers);
    for (component, bytes) in usages.filter(|usage| usage.layer == layer.id).flat_map(|usage| &usage.components) {
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
fn unique(wanted: &str, mut claim: impl FnMut(Text) -> bool) -> Text {
    let mut name: Text = wanted.into();
    let mut number = 2_u64;
    while !claim(name.clone()) {
        name = format!("{wanted}#{number}").into();
        number += 1;
    }
    name
}
