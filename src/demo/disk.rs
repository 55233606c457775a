//! What is on the made-up disk, and what do its kubelets delete from it?
//!
//! A second, deliberately small telling of the kubelet's rules (facts: image_gc_manager.go GarbageCollect, eviction helpers):
//! a demonstration that used the model to decide what happens could only ever agree with it.

use super::job::{CLEAN_UP, Holder, JOB_END, Job, Setup};
use crate::layer::LayerId;
use crate::sample::{Component, DiskUsage, FilesystemId, LayerUsage, Space};
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, Inodes, u64_as_f64};
use std::collections::BTreeMap;

/// The size quoted for the Prow nodes of that issue; 5 % are reserved for root, as mke2fs does.
pub(super) const CAPACITY: Bytes = Bytes::from_gib(280);
const RESERVED: Bytes = Bytes::from_gib(14);
const FILES: u64 = 18_350_080;
/// Bytes for each file, for the count of inodes.
const BYTES_PER_FILE: u64 = 24 << 10;

pub(super) const ID: FilesystemId = FilesystemId { dev: 0x10_3001, capacity: CAPACITY, files: Inodes::new(FILES) };

/// GiB on the disk while no job runs: images and logs of the host, and what belongs to no layer.
const HOST_STORE: f64 = 46.0;
const HOST_LOGS: f64 = 1.0;
const OTHER: f64 = 14.0;
pub(super) const IDLE_GIB: f64 = HOST_STORE + HOST_LOGS + OTHER;

/// What an unused image counts in the runtime's list, and what its deletion gives back, in GiB.
#[derive(Debug, Clone, Copy)]
struct Image {
    /// Which one, in the order in which they were loaded.
    number: usize,
    counted: f64,
    freed: f64,
}

/// Unused images, by whose kubelet may delete them.
#[derive(Debug, Clone)]
pub(super) struct Unused {
    host: Vec<Image>,
    old_capd: Vec<Image>,
    freed_host: f64,
    freed_old_capd: f64,
}

/// Bytes of every holder at one instant, in GiB.
#[derive(Debug, Clone)]
pub(super) struct Held {
    parts: Vec<(Option<Holder>, Component, f64)>,
}

/// What a kubelet did in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    ImageGc(Holder, usize),
    HostEviction(usize),
}

impl Unused {
    /// The host has a few old images; the old CAPD node has the preloaded ones that no pod uses yet.
    pub(super) fn new() -> Self {
        Self {
            host: (0..6).map(|number| Image { number, counted: 0.9, freed: 2.1 }).collect(),
            old_capd: (0..8).map(|number| Image { number, counted: 1.5, freed: 3.3 }).collect(),
            freed_host: 0.0,
            freed_old_capd: 0.0,
        }
    }

    /// What is left of the host's: which, and what each counts in MiB.
    pub(super) fn of_host(&self) -> impl Iterator<Item = (usize, u64)> {
        listed(&self.host)
    }

    /// The same for the old CAPD node.
    pub(super) fn of_old_capd(&self) -> impl Iterator<Item = (usize, u64)> {
        listed(&self.old_capd)
    }

    /// A new job brings new images; the host's come back over time, too.
    pub(super) fn renew(&mut self) {
        *self = Self::new();
    }

    /// Runs the checks of every kubelet that looks between two instants, and says what they deleted. `checks` are those of image
    /// GC: who looks. Eviction is looked at every time; only the host's is on.
    pub(super) fn check(&mut self, job: &Job, at: Span, checks: &[Holder]) -> Vec<Event> {
        let mut events = Vec::new();
        for holder in checks {
            let available = self.held(job, at).available();
            // The kubelet's percentage is at least 85 once less than 16 % is available.
            if available * 100.0 >= CAPACITY.as_f64() * 16.0 {
                continue;
            }
            let wanted = CAPACITY.as_f64() * 0.2 - available;
            let deleted = self.delete(*holder, wanted);
            events.push(Event::ImageGc(*holder, deleted));
        }
        if self.held(job, at).available() * 100.0 <= CAPACITY.as_f64() * 15.0 {
            let deleted = self.delete(Holder::Host, f64::INFINITY);
            if deleted > 0 {
                events.push(Event::HostEviction(deleted));
            }
        }
        events
    }

    /// Deletes until what the images count sums to the bytes wanted; says how many.
    fn delete(&mut self, holder: Holder, wanted: f64) -> usize {
        let (images, freed) = match holder {
            Holder::Host => (&mut self.host, &mut self.freed_host),
            _ => (&mut self.old_capd, &mut self.freed_old_capd),
        };
        let (mut counted, mut deleted) = (0.0, 0);
        while counted < wanted {
            if images.is_empty() {
                break;
            }
            // Never used, so that the first to be seen goes first.
            let image = images.remove(0);
            counted += image.counted * GIB;
            *freed += image.freed;
            deleted += 1;
        }
        deleted
    }

    /// Who holds what at an instant of the round.
    pub(super) fn held(&self, job: &Job, at: Span) -> Held {
        // Deletion of the pod's files is even; they are the host kubelet's, being the pod's emptyDir, once the pod is gone.
        let over = Span::from_micros(at.micros().saturating_sub(JOB_END.micros()));
        let left = 1.0 - (over.as_secs_f64() / CLEAN_UP.as_secs_f64()).clamp(0.0, 1.0);
        let ended = over > Span::ZERO;
        let old_capd = job.nodes.iter().position(|node| node.setup == Setup::OldCapd).map(Holder::Node);
        let mut parts = vec![
            (Some(Holder::Host), Component::Store, HOST_STORE - self.freed_host),
            (Some(Holder::Host), Component::Logs, HOST_LOGS),
            (None, Component::Other, OTHER),
        ];
        let mut taken = self.freed_old_capd;
        for write in &job.writes {
            let mut gib = write.done(at);
            if Some(write.holder) == old_capd && write.component == Component::Store {
                let here = gib.min(taken);
                gib -= here;
                taken -= here;
            }
            if ended {
                parts.push((Some(Holder::Host), Component::Kubelet, gib * left));
            } else {
                parts.push((Some(write.holder), write.component, gib));
            }
        }
        Held { parts }
    }
}

fn listed(images: &[Image]) -> impl Iterator<Item = (usize, u64)> {
    images.iter().map(|image| (image.number, Bytes::from_f64_saturating(image.counted * 1_024.0).get()))
}

const GIB: f64 = 1_073_741_824.0;

impl Held {
    fn used(&self) -> f64 {
        self.parts.iter().map(|(.., gib)| gib * GIB).sum()
    }

    fn available(&self) -> f64 {
        (CAPACITY.as_f64() - self.used() - RESERVED.as_f64()).max(0.0)
    }

    /// What `statfs` says.
    pub(super) fn space(&self) -> Space {
        let used = Bytes::from_f64_saturating(self.used());
        let free = CAPACITY.saturating_sub(used);
        let files_used = used.get() / BYTES_PER_FILE;
        Space {
            capacity: CAPACITY,
            free,
            available: free.saturating_sub(RESERVED),
            files: Inodes::new(FILES),
            files_free: Inodes::new(FILES.saturating_sub(files_used)),
        }
    }

    /// What a runtime says of its images: the unpacked part of its store, nine tenths of it.
    pub(super) fn runtime_used(&self, holder: Holder) -> Bytes {
        let store = self.parts.iter().filter(|(whose, part, _)| *whose == Some(holder) && *part == Component::Store);
        Bytes::from_f64_saturating(store.map(|(.., gib)| gib * GIB * 0.9).sum())
    }

    /// The result of a walk.
    pub(super) fn usage(&self, name: impl Fn(Holder) -> LayerId) -> DiskUsage {
        let mut layers: Vec<LayerUsage> = Vec::new();
        for (whose, component, gib) in &self.parts {
            let layer = name(whose.unwrap_or(Holder::Host));
            let bytes = Bytes::from_f64_saturating(gib * GIB);
            let position = layers.iter().position(|held| held.layer == layer).unwrap_or_else(|| {
                layers.push(LayerUsage { layer, components: BTreeMap::new() });
                layers.len() - 1
            });
            if let Some(held) = layers.get_mut(position) {
                let sum = held.components.entry(*component).or_insert(Bytes::ZERO);
                *sum = sum.saturating_add(bytes);
            }
        }
        let used = layers.iter().fold(Bytes::ZERO, |sum, held| sum.saturating_add(held.total()));
        let took = Span::from_secs_f64(u64_as_f64(used.get()) / GIB / 7.0);
        DiskUsage { layers, used, took, unreadable: 0 }
    }
}

/// Whether a kubelet that started then looks for images between two instants: first at its start, then every five minutes.
pub(super) fn looks_between(started: Timestamp, after: Timestamp, until: Timestamp) -> bool {
    const PERIOD: i64 = 300_000_000;
    let tick = |at: Timestamp| at.since(started).micros().div_euclid(PERIOD);
    until >= started && tick(until) > tick(after).max(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelet_looks_at_its_start_and_every_five_minutes() {
        let start = Timestamp::from_micros(1_000_000_000);
        let looks = |after: i64, until: i64| {
            looks_between(start, start + Span::from_secs(after), start + Span::from_secs(until))
        };
        assert!(looks(-5, 0) && looks(298, 303) && looks(295, 300) && looks(10, 3_000));
        assert!(!looks(-10, -5) && !looks(0, 5) && !looks(300, 305));
    }
}
