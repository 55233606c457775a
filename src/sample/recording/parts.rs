//! A sample taken apart into the lines that say it, and put together again.

use super::wire::{
    ConfigLine, FilesystemLine, ImagesLine, KubeletLine, LayerKey, LayerLine, Read, RuntimeForm, Seconds, SourceEntry,
    SourcesLine, SpaceLine, Time, UsageEntry, UsageLine,
};
use crate::layer::{LayerId, LayerKind};
use crate::sample::{
    AbsenceReason, Container, DiskUsage, FilesystemId, FilesystemName, FilesystemSample, Image, ImageStore,
    KubeletSample, KubeletVersion, LayerSample, LayerUsage, Pod, Reading, RuntimeSample, Sample, SourceStatus, Space,
};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use crate::untrusted::Label;
use std::collections::BTreeMap;

/// Everything that is in force at one point of a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Parts {
    pub(super) filesystems: Vec<FilesystemParts>,
    pub(super) layers: Vec<LayerParts>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct FilesystemParts {
    pub(super) declared: FilesystemLine,
    pub(super) space: SpaceLine,
    pub(super) usage: UsageLine,
    /// Bytes of the lines behind it.
    pub(super) weight: Weight,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct LayerParts {
    pub(super) declared: LayerLine,
    pub(super) sources: SourcesLine,
    pub(super) kubelet: Option<KubeletLine>,
    pub(super) config: ConfigLine,
    pub(super) images: ImagesLine,
    pub(super) image: Items<Image>,
    pub(super) container: Items<Container>,
    pub(super) pod: Items<Pod>,
    /// Bytes of the lines behind it, items not among them.
    pub(super) weight: Weight,
}

/// Images, containers or pods by their id, each with the bytes of its line; 0 where none was read.
pub(super) type Items<T> = BTreeMap<String, (T, usize)>;

/// Bytes of the latest line of each part, by its place; all 0 where nothing was read.
pub(super) type Weight = [usize; 5];

/// What can be listed of a runtime, with the id that tells one from another.
pub(super) trait Item: Clone + PartialEq {
    fn key(&self) -> &str;
    /// How many labels it holds, each of which has its limit; `None`: not more than a few.
    fn labels(&self) -> usize;
}

/// An item with more names than this does not fit into a line; real ones have a handful.
const MOST_LABELS: usize = 1_000;

impl Item for Image {
    fn key(&self) -> &str {
        self.id.as_str()
    }

    fn labels(&self) -> usize {
        let layers = self.layers.as_ref().map_or(0, |layers| layers.len());
        self.tags.len().saturating_add(self.digests.len()).saturating_add(layers)
    }
}

impl Item for Container {
    fn key(&self) -> &str {
        self.id.as_str()
    }

    fn labels(&self) -> usize {
        self.image_volumes.len()
    }
}

impl Item for Pod {
    fn key(&self) -> &str {
        self.id.as_str()
    }

    fn labels(&self) -> usize {
        0
    }
}

const NOT_RECORDED: &str = "not in the recording";

fn not_recorded<T>() -> Reading<T> {
    Reading::absent(AbsenceReason::NotRead, NOT_RECORDED)
}

/// The name of a filesystem in a recording that highwater writes: what makes up its id.
fn key_of(id: FilesystemId) -> String {
    format!("{}:{}-{}-{}", id.major(), id.minor(), id.capacity.get(), id.files.get())
}

impl Parts {
    /// Takes a sample apart. Of two filesystems or layers with the same id the first is kept.
    pub(super) fn of(sample: &Sample) -> Self {
        let mut parts = Self::default();
        for filesystem in &sample.filesystems {
            let found = FilesystemParts::of(filesystem, sample.at);
            if parts.filesystem(&found.declared.filesystem).is_none() {
                parts.filesystems.push(found);
            }
        }
        for layer in &sample.layers {
            if parts.layer(&layer.id).is_none() {
                let found = LayerParts::of(layer, sample);
                parts.layers.push(found);
            }
        }
        parts
    }

    pub(super) fn filesystem(&mut self, key: &str) -> Option<&mut FilesystemParts> {
        self.filesystems.iter_mut().find(|parts| parts.declared.filesystem == key)
    }

    pub(super) fn layer(&mut self, id: &LayerId) -> Option<&mut LayerParts> {
        self.layers.iter_mut().find(|parts| parts.declared.layer == *id)
    }

    /// Bytes of all lines that are in force.
    pub(super) fn weight(&self) -> usize {
        fn of<T>(items: &Items<T>) -> usize {
            items.values().map(|(_, weight)| weight).sum()
        }
        let filesystems: usize = self.filesystems.iter().flat_map(|parts| parts.weight).sum();
        let layers = self.layers.iter().map(|parts| {
            let items = [of(&parts.image), of(&parts.container), of(&parts.pod)];
            parts.weight.into_iter().chain(items).sum::<usize>()
        });
        filesystems.saturating_add(layers.sum())
    }

    /// Puts the sample of this time together.
    pub(super) fn sample(&self, at: Timestamp) -> Sample {
        let ids: BTreeMap<&str, FilesystemId> =
            self.filesystems.iter().map(|parts| (&*parts.declared.filesystem, parts.id())).collect();
        Sample {
            at,
            filesystems: self.filesystems.iter().map(|parts| parts.sample(at)).collect(),
            layers: self.layers.iter().map(|parts| parts.sample(&ids, at)).collect(),
        }
    }
}

impl FilesystemParts {
    pub(super) fn new(declared: FilesystemLine) -> Self {
        let key = declared.filesystem.clone();
        Self {
            declared,
            space: SpaceLine { filesystem: key.clone(), ..SpaceLine::default() },
            usage: UsageLine { filesystem: key, ..UsageLine::default() },
            weight: Weight::default(),
        }
    }

    fn of(filesystem: &FilesystemSample, sampled: Timestamp) -> Self {
        let key = key_of(filesystem.id);
        let mut parts = Self::new(FilesystemLine {
            filesystem: key.clone(),
            dev: filesystem.id.dev,
            capacity: filesystem.id.capacity,
            files: filesystem.id.files,
            device: filesystem.name.device.clone(),
            mountpoint: filesystem.name.mountpoint.clone(),
        });
        parts.space.stuck = filesystem.stuck;
        match &filesystem.space {
            Reading::Present { value, at } => {
                parts.space.at = Time::unless(*at, sampled);
                parts.space.capacity = Some(value.capacity);
                parts.space.free = Some(value.free);
                parts.space.available = Some(value.available);
                parts.space.files = Some(value.files);
                parts.space.files_free = Some(value.files_free);
            }
            Reading::Absent(absence) => parts.space.absence = absence.into(),
        }
        match &filesystem.usage {
            Reading::Present { value, at } => {
                let entry =
                    |held: &LayerUsage| UsageEntry { layer: held.layer.clone(), components: held.components.clone() };
                parts.usage.at = Time::unless(*at, sampled);
                parts.usage.used = Some(value.used);
                parts.usage.took = Some(Seconds(value.took));
                parts.usage.unreadable = value.unreadable;
                parts.usage.layers = value.layers.iter().map(entry).collect();
            }
            Reading::Absent(absence) => parts.usage.absence = absence.into(),
        }
        parts
    }

    fn id(&self) -> FilesystemId {
        let FilesystemLine { dev, capacity, files, .. } = self.declared;
        FilesystemId { dev, capacity, files }
    }

    fn sample(&self, sampled: Timestamp) -> FilesystemSample {
        FilesystemSample {
            id: self.id(),
            name: FilesystemName { device: self.declared.device.clone(), mountpoint: self.declared.mountpoint.clone() },
            space: self.space(sampled),
            stuck: self.space.stuck,
            usage: self.usage(sampled),
        }
    }

    fn space(&self, sampled: Timestamp) -> Reading<Space> {
        let line = &self.space;
        if let Some(absence) = line.absence.absence() {
            return Reading::Absent(absence);
        }
        let Some(available) = line.available else { return not_recorded() };
        let value = Space {
            capacity: line.capacity.unwrap_or(self.declared.capacity),
            free: line.free.unwrap_or(available),
            available,
            files: line.files.unwrap_or(self.declared.files),
            files_free: line.files_free.or(line.files).unwrap_or(self.declared.files),
        };
        if value.capacity == Bytes::ZERO {
            return Reading::absent(AbsenceReason::Malformed, "the recorded capacity is 0");
        }
        Reading::present(value, line.at.map_or(sampled, Time::timestamp))
    }

    fn usage(&self, sampled: Timestamp) -> Reading<DiskUsage> {
        let line = &self.usage;
        if let Some(absence) = line.absence.absence() {
            return Reading::Absent(absence);
        }
        let Some(used) = line.used else { return not_recorded() };
        let held = |entry: &UsageEntry| LayerUsage { layer: entry.layer.clone(), components: entry.components.clone() };
        let value = DiskUsage {
            layers: line.layers.iter().map(held).collect(),
            used,
            took: line.took.map_or(Span::ZERO, |took| took.0),
            unreadable: line.unreadable,
        };
        Reading::present(value, line.at.map_or(sampled, Time::timestamp))
    }
}

impl LayerParts {
    pub(super) fn new(declared: LayerLine) -> Self {
        let layer = LayerKey(declared.layer.clone());
        Self {
            declared,
            sources: SourcesLine { layer: layer.clone(), ..SourcesLine::default() },
            kubelet: None,
            config: ConfigLine { layer: layer.clone(), ..ConfigLine::default() },
            images: ImagesLine { layer, ..ImagesLine::default() },
            image: Items::new(),
            container: Items::new(),
            pod: Items::new(),
            weight: Weight::default(),
        }
    }

    fn of(layer: &LayerSample, sample: &Sample) -> Self {
        let at = sample.at;
        let key = LayerKey(layer.id.clone());
        let filesystem = |reading: &Reading<FilesystemId>| {
            let listed = reading.value().is_none_or(|id| sample.filesystems.iter().any(|found| found.id == *id));
            // Every filesystem of a layer is in the sample; one that is not could not be named.
            let reading = if listed { reading.clone().map(key_of) } else { not_recorded() };
            Read::of(reading, at)
        };
        let (imagefs, nodefs) = (filesystem(&layer.imagefs), filesystem(&layer.nodefs));
        let mut parts = Self::new(LayerLine {
            layer: layer.id.clone(),
            kind: Some(layer.kind),
            parent: layer.parent.clone(),
            origin: layer.origin.clone(),
            runtime: layer.runtime.as_ref().map(|runtime| RuntimeForm {
                kind: runtime.kind,
                pid: runtime.pid,
                started_at: Time::of(runtime.started_at),
                version: runtime.version.clone(),
                stats_period: runtime.stats_period.and_then(|period| u32::try_from(period.micros() / 1_000_000).ok()),
            }),
            image_store: Some(layer.image_store.clone()),
            docker_root: layer.docker_root.clone(),
            nodefs: (nodefs != imagefs).then_some(nodefs),
            imagefs: Some(imagefs),
        });
        parts.sources.sources = layer.sources.iter().map(|status| SourceEntry::of(status, at)).collect();
        parts.sources.runtime_used = Some(Read::of(layer.runtime_used.clone(), at));
        if let Some(kubelet) = &layer.kubelet {
            parts.kubelet = Some(KubeletLine {
                layer: key,
                pid: kubelet.pid,
                started_at: Time::of(kubelet.started_at),
                serving_since: kubelet.serving_since.map(Time::of),
                version: kubelet.release().cloned(),
                version_origin: kubelet.version.as_ref().and_then(|version| version.origin),
            });
            match &kubelet.config {
                Reading::Present { value, at: read_at } => {
                    parts.config.at = Time::unless(*read_at, at);
                    parts.config.config = super::settings::ConfigForm::of(value);
                    parts.config.known = true;
                }
                Reading::Absent(absence) => parts.config.absence = absence.into(),
            }
        }
        match &layer.images {
            Reading::Present { value, at: read_at } => {
                let (image, images_whole) = items(&value.images);
                let (container, containers_whole) = items(&value.containers);
                let (pod, pods_whole) = items(&value.pods);
                (parts.image, parts.container, parts.pod) = (image, container, pod);
                parts.images.at = Time::unless(*read_at, at);
                parts.images.hidden_volumes = value.hidden_volumes;
                parts.images.sandbox_image.clone_from(&value.sandbox_image);
                parts.images.complete = Some(value.complete && images_whole && containers_whole && pods_whole);
            }
            Reading::Absent(absence) => parts.images.absence = absence.into(),
        }
        parts
    }

    fn sample(&self, filesystems: &BTreeMap<&str, FilesystemId>, at: Timestamp) -> LayerSample {
        let declared = &self.declared;
        let filesystem = |form: Option<&Read<String>>| {
            let reading = form.map_or_else(not_recorded, |form| form.clone().reading(at));
            match reading {
                Reading::Present { value, at } => filesystems.get(value.as_str()).map_or_else(
                    || Reading::absent(AbsenceReason::Gone, "the filesystem is gone from the recording"),
                    |id| Reading::present(*id, at),
                ),
                Reading::Absent(absence) => Reading::Absent(absence),
            }
        };
        let inner = declared.parent.is_some();
        LayerSample {
            id: declared.layer.clone(),
            kind: declared.kind.unwrap_or(if inner { LayerKind::NodeContainer } else { LayerKind::Host }),
            parent: declared.parent.clone(),
            origin: declared.origin.clone(),
            runtime: declared.runtime.as_ref().map(|runtime| RuntimeSample {
                kind: runtime.kind,
                pid: runtime.pid,
                started_at: runtime.started_at.timestamp(),
                version: runtime.version.clone(),
                stats_period: runtime.stats_period.map(|seconds| Span::from_secs(i64::from(seconds))),
            }),
            kubelet: self.kubelet.as_ref().map(|kubelet| KubeletSample {
                pid: kubelet.pid,
                started_at: kubelet.started_at.timestamp(),
                serving_since: kubelet.serving_since.map(Time::timestamp),
                version: kubelet
                    .version
                    .clone()
                    .map(|release| KubeletVersion { release, origin: kubelet.version_origin }),
                config: self.config.reading(at),
            }),
            image_store: declared.image_store.clone().unwrap_or_else(|| Label::new("/var/lib/containerd")),
            docker_root: declared.docker_root.clone(),
            imagefs: filesystem(declared.imagefs.as_ref()),
            nodefs: filesystem(declared.nodefs.as_ref().or(declared.imagefs.as_ref())),
            runtime_used: self.sources.runtime_used.clone().map_or_else(not_recorded, |form| form.reading(at)),
            images: self.store(at),
            sources: self.sources.sources.iter().map(|entry| entry.status(at)).collect(),
        }
    }

    fn store(&self, sampled: Timestamp) -> Reading<ImageStore> {
        if let Some(absence) = self.images.absence.absence() {
            return Reading::Absent(absence);
        }
        let Some(complete) = self.images.complete else { return not_recorded() };
        let store = ImageStore {
            images: self.image.values().map(|(image, _)| image.clone()).collect(),
            containers: self.container.values().map(|(container, _)| container.clone()).collect(),
            pods: self.pod.values().map(|(pod, _)| pod.clone()).collect(),
            complete,
            hidden_volumes: self.images.hidden_volumes,
            sandbox_image: self.images.sandbox_image.clone(),
        };
        Reading::present(store, self.images.at.map_or(sampled, Time::timestamp))
    }
}

/// The items by their id, and whether all are there: of two with one id the first is, and none that does not fit a line.
fn items<T: Item>(list: &[T]) -> (Items<T>, bool) {
    let mut items = Items::new();
    let mut whole = true;
    for item in list {
        if item.labels() > MOST_LABELS || items.contains_key(item.key()) {
            whole = false;
        } else {
            items.insert(item.key().to_owned(), (item.clone(), 0));
        }
    }
    (items, whole)
}

impl SourceEntry {
    fn of(status: &SourceStatus, sampled: Timestamp) -> Self {
        let (at, absence) = match &status.state {
            Reading::Present { at, .. } => (Time::unless(*at, sampled), super::wire::AbsenceForm::default()),
            Reading::Absent(absence) => (None, absence.into()),
        };
        Self { source: status.source, at, absence }
    }

    fn status(&self, sampled: Timestamp) -> SourceStatus {
        let present = || Reading::present((), self.at.map_or(sampled, Time::timestamp));
        SourceStatus { source: self.source, state: self.absence.absence().map_or_else(present, Reading::Absent) }
    }
}

impl ConfigLine {
    fn reading(&self, sampled: Timestamp) -> Reading<crate::sample::KubeletConfig> {
        if let Some(absence) = self.absence.absence() {
            return Reading::Absent(absence);
        }
        if !self.known {
            return not_recorded();
        }
        Reading::present(self.config.config(), self.at.map_or(sampled, Time::timestamp))
    }
}
