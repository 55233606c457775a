//! What is in force at one point of a recording: the last line of each key. A sample is taken apart into these, and put together
//! from them.

use super::line::{Field, Key, Kind, Line, Owner};
use crate::layer::LayerId;
use crate::sample::form::OF_THE_SAMPLE;
use crate::sample::{
    AbsenceReason, FilesystemId, FilesystemName, FilesystemSample, ImageStore, LayerSample, Reading, Sample,
};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// The lines about one owner by their key, each with its bytes; 0 where none was read.
pub(super) type Lines = BTreeMap<Key, (Line, usize)>;

/// All lines in force, by filesystem and layer, in the order in which a sample has these.
#[derive(Debug, Default)]
pub(super) struct InForce {
    pub(super) owners: Vec<(Owner, Lines)>,
}

impl InForce {
    /// Takes a sample apart. Of two with the same key the first is kept; a list that has two is not whole.
    pub(super) fn of(mut sample: Sample) -> Self {
        let sampled = sample.at;
        redate(&mut sample, |at| if at == sampled { OF_THE_SAMPLE } else { at });
        let mut found = Self::default();
        for FilesystemSample { id, name, space, stuck, usage } in sample.filesystems {
            let filesystem = name_of(id);
            if found.add(Line::Filesystem { filesystem: filesystem.clone(), id, name }) {
                found.add(Line::Space { filesystem: filesystem.clone(), space, stuck });
                found.add(Line::Usage { filesystem, usage });
            }
        }
        for layer in sample.layers {
            found.add_layer(layer);
        }
        found
    }

    fn add_layer(&mut self, mut layer: LayerSample) {
        let named = |reading: Reading<FilesystemId>| {
            let declared = |id: &FilesystemId| self.lines(&Owner::Filesystem(name_of(*id))).is_some();
            // Every filesystem of a layer is in the sample; one that is not could not be named.
            let listed = reading.value().is_none_or(declared);
            Field::from(if listed { reading.map(name_of) } else { Reading::not_recorded() })
        };
        let (imagefs, nodefs) = (named(take(&mut layer.imagefs)), named(take(&mut layer.nodefs)));
        let (kubelet, images) = (layer.kubelet.take(), take(&mut layer.images));
        let (sources, runtime_used) = (std::mem::take(&mut layer.sources), take(&mut layer.runtime_used));
        let id = layer.id.clone();
        let nodefs = (nodefs != imagefs).then_some(nodefs);
        if !self.add(Line::Layer { layer: Box::new(layer), imagefs: Some(imagefs), nodefs }) {
            return;
        }
        self.add(Line::Sources { layer: id.clone(), sources, runtime_used: Some(runtime_used.into()) });
        if let Some(mut kubelet) = kubelet {
            let config = Box::new(take(&mut kubelet.config));
            self.add(Line::Kubelet { layer: id.clone(), kubelet: Box::new(kubelet) });
            self.add(Line::Config { layer: id.clone(), config, unchanged: false });
        }
        let store = images.map(|mut store| {
            let (images, containers) = (std::mem::take(&mut store.images), std::mem::take(&mut store.containers));
            for image in images {
                store.complete &= self.add(Line::Image { layer: id.clone(), image });
            }
            for container in containers {
                store.complete &= self.add(Line::Container { layer: id.clone(), container });
            }
            for pod in std::mem::take(&mut store.pods) {
                store.complete &= self.add(Line::Pod { layer: id.clone(), pod });
            }
            store
        });
        self.add(Line::Images { layer: id, store });
    }

    /// Adds a line of a sample; false where there is one with this key.
    fn add(&mut self, line: Line) -> bool {
        let Some((owner, key)) = line.key() else { return false };
        match self.lines_mut(&owner) {
            Some(lines) if lines.contains_key(&key) => return false,
            Some(lines) => drop(lines.insert(key, (line, 0))),
            None => self.owners.push((owner, Lines::from([(key, (line, 0))]))),
        }
        true
    }

    /// What is in force of a filesystem or layer, if it is declared.
    pub(super) fn lines(&self, owner: &Owner) -> Option<&Lines> {
        self.owners.iter().find(|(known, _)| known == owner).map(|(_, lines)| lines)
    }

    /// The same, to be changed.
    pub(super) fn lines_mut(&mut self, owner: &Owner) -> Option<&mut Lines> {
        self.owners.iter_mut().find(|(known, _)| known == owner).map(|(_, lines)| lines)
    }

    /// The names of the filesystems, in their order.
    pub(super) fn filesystems(&self) -> Vec<String> {
        let name = |owner: &Owner| if let Owner::Filesystem(name) = owner { Some(name.clone()) } else { None };
        self.owners.iter().filter_map(|(owner, _)| name(owner)).collect()
    }

    /// The layers, in their order.
    pub(super) fn layers(&self) -> Vec<LayerId> {
        let id = |owner: &Owner| if let Owner::Layer(id) = owner { Some(id.clone()) } else { None };
        self.owners.iter().filter_map(|(owner, _)| id(owner)).collect()
    }

    /// The id of a filesystem, if it is declared.
    pub(super) fn id(&self, filesystem: &str) -> Option<FilesystemId> {
        let lines = self.lines(&Owner::Filesystem(filesystem.to_owned()))?;
        match lines.get(&(Kind::Declared, String::new())) {
            Some((Line::Filesystem { id, .. }, _)) => Some(*id),
            _ => None,
        }
    }

    /// Bytes of all lines that are in force.
    pub(super) fn weight(&self) -> usize {
        self.owners.iter().flat_map(|(_, lines)| lines.values()).map(|(_, weight)| weight).sum()
    }

    /// Puts the sample of this time together.
    pub(super) fn sample(&self, at: Timestamp) -> Sample {
        let mut sample = Sample { at, filesystems: Vec::new(), layers: Vec::new() };
        for (_, lines) in &self.owners {
            let mut lines = lines.values().map(|(line, _)| line.clone());
            match lines.next() {
                Some(Line::Filesystem { id, name, .. }) => sample.filesystems.push(filesystem(id, name, lines)),
                Some(Line::Layer { mut layer, imagefs, nodefs }) => {
                    layer.nodefs = self.resolved(nodefs.or_else(|| imagefs.clone()));
                    layer.imagefs = self.resolved(imagefs);
                    sample.layers.push(filled(*layer, lines));
                }
                _ => {}
            }
        }
        redate(&mut sample, |time| if time == OF_THE_SAMPLE { at } else { time });
        sample
    }

    fn resolved(&self, name: Option<Field<String>>) -> Reading<FilesystemId> {
        match name.map_or_else(Reading::not_recorded, Reading::from) {
            Reading::Present { value, at } => self.id(&value).map_or_else(
                || Reading::absent(AbsenceReason::Gone, "the filesystem is gone from the recording"),
                |id| Reading::present(id, at),
            ),
            Reading::Absent(absence) => Reading::Absent(absence),
        }
    }
}

/// The name of a filesystem in a recording that highwater writes: what makes up its id.
fn name_of(id: FilesystemId) -> String {
    format!("{}:{}-{}-{}", id.major(), id.minor(), id.capacity.get(), id.files.get())
}

fn take<T>(reading: &mut Reading<T>) -> Reading<T> {
    std::mem::replace(reading, Reading::not_recorded())
}

fn filesystem(id: FilesystemId, name: FilesystemName, lines: impl Iterator<Item = Line>) -> FilesystemSample {
    let (mut space, mut stuck, mut usage) = (Reading::not_recorded(), false, Reading::not_recorded());
    for line in lines {
        match line {
            Line::Space { space: found, stuck: hangs, .. } => (space, stuck) = (found, hangs),
            Line::Usage { usage: found, .. } => usage = found,
            _ => {}
        }
    }
    FilesystemSample { id, name, space, stuck, usage }
}

/// The layer with what its other lines say, which come in the order of their kinds.
fn filled(mut layer: LayerSample, lines: impl Iterator<Item = Line>) -> LayerSample {
    let mut lists = ImageStore::default();
    for line in lines {
        match line {
            Line::Sources { sources, runtime_used, .. } => {
                layer.sources = sources;
                layer.runtime_used = runtime_used.map_or_else(Reading::not_recorded, Reading::from);
            }
            Line::Kubelet { kubelet, .. } => layer.kubelet = Some(*kubelet),
            Line::Config { config, .. } => {
                if let Some(kubelet) = &mut layer.kubelet {
                    kubelet.config = *config;
                }
            }
            Line::Image { image, .. } => lists.images.push(image),
            Line::Container { container, .. } => lists.containers.push(container),
            Line::Pod { pod, .. } => lists.pods.push(pod),
            Line::Images { store, .. } => {
                let ImageStore { images, containers, pods, .. } = std::mem::take(&mut lists);
                layer.images = store.map(|store| ImageStore { images, containers, pods, ..store });
            }
            _ => {}
        }
    }
    layer
}

/// Replaces the times of all readings.
fn redate(sample: &mut Sample, date: impl Fn(Timestamp) -> Timestamp) {
    for filesystem in &mut sample.filesystems {
        filesystem.space.redate(&date);
        filesystem.usage.redate(&date);
    }
    for layer in &mut sample.layers {
        layer.imagefs.redate(&date);
        layer.nodefs.redate(&date);
        layer.runtime_used.redate(&date);
        layer.images.redate(&date);
        layer.sources.iter_mut().for_each(|source| source.state.redate(&date));
        layer.kubelet.iter_mut().for_each(|kubelet| kubelet.config.redate(&date));
    }
}
