//! Which filesystem does a directory belong to, and what does it say? Layers that share a filesystem share one measurement.
//!
//! Identity is st_dev. The same st_dev with clearly other totals (a project quota) is another view and counts on its own.

use crate::access::AccessError;
use crate::access::deadline::SingleFlight;
use crate::access::root::{Root, Statfs};
use crate::discover::LayerKey;
use crate::discover::parse::Mount;
use crate::sample::{Absence, AbsenceReason, FilesystemId, FilesystemName, Reading, Space};
use crate::time::Timestamp;
use crate::units::{Bytes, Inodes};
use crate::untrusted::Label;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A directory of a layer whose filesystem matters.
#[derive(Debug, Clone)]
pub struct Location {
    /// Whose.
    pub layer: LayerKey,
    /// The root it is below.
    pub root: Arc<Root>,
    /// Where, as the layer sees it.
    pub path: PathBuf,
}

/// What is remembered of one filesystem.
#[derive(Debug)]
struct Known {
    name: FilesystemName,
    /// Totals as last seen: they change when a filesystem is resized.
    capacity: u64,
    files: u64,
    worker: SingleFlight,
}

/// Every filesystem that was met.
#[derive(Debug, Default)]
pub(super) struct Filesystems {
    known: BTreeMap<FilesystemId, Known>,
    /// Where each directory was found to be, and on which inode.
    places: BTreeMap<(LayerKey, PathBuf), FilesystemId>,
}

/// One filesystem as measured in this round.
#[derive(Debug)]
pub(super) struct Measured {
    /// Which.
    pub id: FilesystemId,
    /// Its name.
    pub name: FilesystemName,
    /// Its numbers.
    pub space: Reading<Space>,
    /// Whether a call hangs.
    pub stuck: bool,
    /// Where it was measured: the first of its places.
    pub place: Location,
}

impl Filesystems {
    /// Which filesystem a directory is on. Measured on the layer's own worker when it is new or `refresh` is set, so that a hung
    /// mount costs that layer only.
    ///
    /// # Errors
    /// When the directory cannot be opened or measured, or reports a capacity of 0.
    pub(super) fn locate(
        &mut self,
        place: &Location,
        worker: &SingleFlight,
        limit: Duration,
        refresh: bool,
        mounts: impl Fn() -> Vec<Mount>,
    ) -> Result<FilesystemId, Absence> {
        let slot = (place.layer, place.path.clone());
        if let Some(id) = self.places.get(&slot)
            && !refresh
        {
            return Ok(*id);
        }
        let statfs = match measure(place, worker, limit).map_err(Absence::from).and_then(with_capacity) {
            Ok(statfs) => statfs,
            Err(absence) => {
                self.places.remove(&slot);
                return Err(absence);
            }
        };
        let id = self.identify(&statfs, place, mounts);
        self.places.insert(slot, id);
        Ok(id)
    }

    fn identify(&mut self, statfs: &Statfs, place: &Location, mounts: impl Fn() -> Vec<Mount>) -> FilesystemId {
        let same_view = |known: &Known| alike(known.capacity, statfs.capacity) && alike(known.files, statfs.files);
        let found =
            self.known.iter().find(|(id, known)| id.dev == statfs.id.dev && same_view(known)).map(|(id, _)| *id);
        found.unwrap_or_else(|| {
            let id = FilesystemId {
                dev: statfs.id.dev,
                capacity: Bytes::new(statfs.capacity),
                files: Inodes::new(statfs.files),
            };
            let name = name(id, &place.path, &mounts());
            let known = Known { name, capacity: statfs.capacity, files: statfs.files, worker: SingleFlight::new() };
            self.known.insert(id, known);
            id
        })
    }

    /// Measures each filesystem once, at the first of its places. What no place refers to any more is forgotten.
    pub(super) fn measure(&mut self, places: &[Location], limit: Duration, now: Timestamp) -> Vec<Measured> {
        self.places.retain(|(layer, path), _| places.iter().any(|p| p.layer == *layer && p.path == *path));
        let mut order: Vec<(FilesystemId, &Location)> = Vec::new();
        for place in places {
            if let Some(id) = self.places.get(&(place.layer, place.path.clone()))
                && !order.iter().any(|(seen, _)| seen == id)
            {
                order.push((*id, place));
            }
        }
        self.known.retain(|id, _| order.iter().any(|(seen, _)| seen == id));
        order.into_iter().filter_map(|(id, place)| self.measure_one(id, place, limit, now)).collect()
    }

    fn measure_one(&mut self, id: FilesystemId, place: &Location, limit: Duration, now: Timestamp) -> Option<Measured> {
        let known = self.known.get_mut(&id)?;
        let result =
            measure(place, &known.worker, limit).map_err(Absence::from).and_then(with_capacity).and_then(|s| {
                if s.id.dev == id.dev {
                    return Ok(s);
                }
                // Mounted over since it was located; the next round locates it anew.
                self.places.retain(|_, seen| *seen != id);
                Err(Absence::new(AbsenceReason::Gone, "another filesystem was mounted there"))
            });
        let space = result.map(|statfs| {
            (known.capacity, known.files) = (statfs.capacity, statfs.files);
            space(&statfs)
        });
        let stuck = known.worker.is_stuck();
        Some(Measured {
            id,
            name: known.name.clone(),
            space: Reading::from_result(space, now),
            stuck,
            place: place.clone(),
        })
    }
}

/// Totals of one filesystem seen at almost the same time differ by nothing; ZFS totals breathe; quotas differ a lot.
fn alike(a: u64, b: u64) -> bool {
    a.abs_diff(b) <= a.max(b) / 100
}

fn measure(place: &Location, worker: &SingleFlight, limit: Duration) -> Result<Statfs, AccessError> {
    let (root, path) = (Arc::clone(&place.root), place.path.clone());
    worker.call("statfs", &place.path, limit, move || root.statfs(&path))
}

fn with_capacity(statfs: Statfs) -> Result<Statfs, Absence> {
    if statfs.capacity == 0 {
        return Err(Absence::new(AbsenceReason::Malformed, "statfs reports a capacity of 0: unknown"));
    }
    Ok(statfs)
}

fn space(statfs: &Statfs) -> Space {
    Space {
        capacity: Bytes::new(statfs.capacity),
        free: Bytes::new(statfs.free),
        available: Bytes::new(statfs.available),
        files: Inodes::new(statfs.files),
        files_free: Inodes::new(statfs.files_free),
    }
}

/// The mount of the whole filesystem with the shortest path, as the machine sees it; the device number and the layer's own path
/// where the machine has no such mount.
fn name(id: FilesystemId, path: &Path, mounts: &[Mount]) -> FilesystemName {
    mounts
        .iter()
        .filter(|mount| mount.major == id.major() && mount.minor == id.minor())
        .min_by_key(|mount| (mount.root != "/", mount.mountpoint.as_os_str().len()))
        .map_or_else(
            || FilesystemName {
                device: Label::new(&format!("{}:{}", id.major(), id.minor())),
                mountpoint: Label::new(&path.to_string_lossy()),
            },
            |mount| FilesystemName {
                device: Label::new(&mount.source),
                mountpoint: Label::new(&mount.mountpoint.to_string_lossy()),
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const LIMIT: Duration = Duration::from_secs(10);

    fn place(layer: u32, root: &Arc<Root>, path: &str) -> Location {
        Location { layer: LayerKey { pid: layer, start_ticks: 0 }, root: Arc::clone(root), path: PathBuf::from(path) }
    }

    #[test]
    fn two_layers_on_one_filesystem_are_measured_once() {
        let dir = TempDir::new().unwrap();
        for name in ["a", "b"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let root = Arc::new(Root::open(dir.path()).unwrap());
        let places = [place(1, &root, "/a"), place(2, &root, "/b")];
        let mut filesystems = Filesystems::default();
        let ids: Vec<_> = places
            .iter()
            .map(|p| filesystems.locate(p, &SingleFlight::new(), LIMIT, false, Vec::new).unwrap())
            .collect();
        assert_eq!(ids[0], ids[1]);
        let measured = filesystems.measure(&places, LIMIT, Timestamp::from_micros(7));
        assert_eq!(measured.len(), 1);
        let space = measured[0].space.value().unwrap();
        assert!(space.capacity >= space.available);
    }

    #[test]
    fn a_directory_that_vanished_is_absent_and_its_filesystem_forgotten() {
        let dir = TempDir::new().unwrap();
        let root = Arc::new(Root::open(dir.path()).unwrap());
        let gone = place(1, &root, "/nowhere");
        let mut filesystems = Filesystems::default();
        let absence = filesystems.locate(&gone, &SingleFlight::new(), LIMIT, false, Vec::new).unwrap_err();
        assert_eq!(absence.reason, AbsenceReason::Gone);
        assert!(filesystems.measure(&[gone], LIMIT, Timestamp::from_micros(0)).is_empty());
    }

    #[test]
    fn other_totals_on_the_same_device_are_another_view() {
        let dir = TempDir::new().unwrap();
        let root = Arc::new(Root::open(dir.path()).unwrap());
        let mut filesystems = Filesystems::default();
        let whole = root.statfs(Path::new("/")).unwrap();
        let quota = Statfs { capacity: whole.capacity / 4, ..whole };
        let place = place(1, &root, "/");
        let a = filesystems.identify(&whole, &place, Vec::new);
        let b = filesystems.identify(&quota, &place, Vec::new);
        assert_ne!(a, b);
        assert_eq!(filesystems.identify(&whole, &place, Vec::new), a);
    }

    #[test]
    fn the_name_is_the_mount_of_the_whole_filesystem() {
        let id = FilesystemId { dev: 0x0801, capacity: Bytes::ZERO, files: Inodes::new(0) };
        let mount = |root: &str, at: &str| Mount {
            major: 8,
            minor: 1,
            root: root.to_owned(),
            mountpoint: at.into(),
            kind: "ext4".to_owned(),
            source: "/dev/sda1".to_owned(),
        };
        let mounts = [mount("/sub", "/a"), mount("/", "/mnt/disk")];
        let found = name(id, Path::new("/var/lib/containerd"), &mounts);
        assert_eq!((found.device.as_str(), found.mountpoint.as_str()), ("/dev/sda1", "/mnt/disk"));
        assert_eq!(name(id, Path::new("/x"), &[]).device.as_str(), "8:1");
    }
}
