//! Which filesystem does a directory belong to, and what does it say? Layers that share a filesystem share one measurement.
//!
//! Identity is the device of the mount, as the kubelet compares it: st_dev, except where one device has several (btrfs has one for
//! each subvolume). The same device with clearly other totals (a project quota) is another view and counts on its own.

use crate::access::AccessError;
use crate::access::deadline::SingleFlight;
use crate::access::root::Root;
use crate::discover::LayerKey;
use crate::discover::parse::Mount;
use crate::sample::{Absence, AbsenceReason, FilesystemId, FilesystemName, Reading, Space};
use crate::source::statfs::{self, Statfs};
use crate::time::Timestamp;
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

/// The mounts among which a directory's is looked for.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// Those of the machine, by which filesystems are named.
    pub(super) machine: Vec<Mount>,
    /// Those that the process sees whose directory it is.
    pub(super) own: Vec<Mount>,
}

/// Where a directory lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// On which filesystem.
    pub(super) id: FilesystemId,
    /// st_dev of the directory.
    dev: u64,
    /// The type of the filesystem; `None` where no mount table has it.
    pub(super) kind: Option<String>,
    /// Whether a kubelet finds the device of the directory.
    pub(super) seen_by_kubelet: bool,
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
    /// Where each directory was found to be.
    places: BTreeMap<(LayerKey, PathBuf), Found>,
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

impl Mounts {
    fn find(&self, id: Option<u64>) -> Option<&Mount> {
        let id = id?;
        self.own.iter().chain(&self.machine).find(|mount| mount.id == id)
    }
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
        mounts: impl Fn() -> Mounts,
    ) -> Result<Found, Absence> {
        let slot = (place.layer, place.path.clone());
        if let Some(found) = self.places.get(&slot)
            && !refresh
        {
            return Ok(found.clone());
        }
        let statfs = match measure(place, worker, limit).map_err(Absence::from).and_then(with_capacity) {
            Ok(statfs) => statfs,
            Err(absence) => {
                self.places.remove(&slot);
                return Err(absence);
            }
        };
        let found = self.identify(&statfs, place, &mounts());
        self.places.insert(slot, found.clone());
        Ok(found)
    }

    fn identify(&mut self, statfs: &Statfs, place: &Location, mounts: &Mounts) -> Found {
        let mount = mounts.find(statfs.mount);
        let dev = mount.filter(|mount| is_device(mount)).map_or(statfs.dev, device_number);
        let Space { capacity, files, .. } = statfs.space;
        let same_view = |known: &Known| alike(known.capacity, capacity.get()) && alike(known.files, files.get());
        let known = self.known.iter().find(|(id, known)| id.dev == dev && same_view(known)).map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| {
            let id = FilesystemId { dev, capacity, files };
            let name = name(id, &place.path, &mounts.machine);
            let known = Known { name, capacity: capacity.get(), files: files.get(), worker: SingleFlight::new() };
            self.known.insert(id, known);
            id
        });
        let seen_by_kubelet = mount.is_none_or(is_seen_by_kubelet);
        Found { id, dev: statfs.dev, kind: mount.map(|mount| mount.kind.clone()), seen_by_kubelet }
    }

    /// Measures each filesystem once, at the first of its places. What no place refers to any more is forgotten.
    pub(super) fn measure(&mut self, places: &[Location], limit: Duration, now: Timestamp) -> Vec<Measured> {
        self.places.retain(|(layer, path), _| places.iter().any(|p| p.layer == *layer && p.path == *path));
        let mut order: Vec<(Found, &Location)> = Vec::new();
        for place in places {
            if let Some(found) = self.places.get(&(place.layer, place.path.clone()))
                && !order.iter().any(|(seen, _)| seen.id == found.id)
            {
                order.push((found.clone(), place));
            }
        }
        self.known.retain(|id, _| order.iter().any(|(seen, _)| seen.id == *id));
        order.into_iter().filter_map(|(found, place)| self.measure_one(&found, place, limit, now)).collect()
    }

    fn measure_one(&mut self, found: &Found, place: &Location, limit: Duration, now: Timestamp) -> Option<Measured> {
        let known = self.known.get_mut(&found.id)?;
        let result =
            measure(place, &known.worker, limit).map_err(Absence::from).and_then(with_capacity).and_then(|s| {
                if s.dev == found.dev {
                    return Ok(s.space);
                }
                // Mounted over since it was located; the next round locates it anew.
                self.places.retain(|_, seen| seen.id != found.id);
                Err(Absence::new(AbsenceReason::Gone, "another filesystem was mounted there"))
            });
        if let Ok(space) = &result {
            (known.capacity, known.files) = (space.capacity.get(), space.files.get());
        }
        let stuck = known.worker.is_stuck();
        Some(Measured {
            id: found.id,
            name: known.name.clone(),
            space: Reading::from_result(result, now),
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
    worker.call("statfs", &place.path, limit, move || statfs::read(&root, &path))
}

fn with_capacity(statfs: Statfs) -> Result<Statfs, Absence> {
    if statfs.space.capacity.get() == 0 {
        return Err(Absence::new(AbsenceReason::Malformed, "statfs reports a capacity of 0: unknown"));
    }
    Ok(statfs)
}

/// Whether what is mounted is a device, by whose name a kubelet compares directories.
fn is_device(mount: &Mount) -> bool {
    mount.source.starts_with("/dev/")
}

/// The number of a mount's device, as st_dev has it: Linux `makedev`.
fn device_number(mount: &Mount) -> u64 {
    let Mount { major, minor, .. } = mount;
    ((major & 0xfff) << 8) | ((major & !0xfff) << 32) | (minor & 0xff) | ((minor & !0xff) << 12)
}

/// Whether a kubelet can tell on which device a directory of this mount is: cAdvisor `fs/fs.go` processMounts has a list of types, and
/// takes a device of any other type from the mount itself. A type that some release knows counts as known.
fn is_seen_by_kubelet(mount: &Mount) -> bool {
    const TYPES: [&str; 13] = [
        "btrfs", "overlay", "tmpfs", "xfs", "zfs", "f2fs", "squashfs", "jfs", "vfat", "iso9660", "udf", "ntfs", "exfat",
    ];
    let is_listed =
        TYPES.contains(&mount.kind.as_str()) || ["ext", "nfs"].iter().any(|kind| mount.kind.starts_with(kind));
    is_listed || is_device(mount) || mount.mountpoint == Path::new("/")
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
    use crate::units::{Bytes, Inodes};
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
            .map(|p| filesystems.locate(p, &SingleFlight::new(), LIMIT, false, Mounts::default).unwrap().id)
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
        let absence = filesystems.locate(&gone, &SingleFlight::new(), LIMIT, false, Mounts::default).unwrap_err();
        assert_eq!(absence.reason, AbsenceReason::Gone);
        assert!(filesystems.measure(&[gone], LIMIT, Timestamp::from_micros(0)).is_empty());
    }

    #[test]
    fn other_totals_on_the_same_device_are_another_view() {
        let dir = TempDir::new().unwrap();
        let root = Arc::new(Root::open(dir.path()).unwrap());
        let mut filesystems = Filesystems::default();
        let whole = statfs::read(&root, Path::new("/")).unwrap();
        let quota = Bytes::new(whole.space.capacity.get() / 4);
        let quota = Statfs { space: Space { capacity: quota, ..whole.space }, ..whole };
        let place = place(1, &root, "/");
        let mut identify = |statfs| filesystems.identify(statfs, &place, &Mounts::default()).id;
        let a = identify(&whole);
        assert_ne!(a, identify(&quota));
        assert_eq!(identify(&whole), a);
    }

    fn mount(id: u64, numbers: (u64, u64), kind: &str, source: &str) -> Mount {
        let (major, minor) = numbers;
        let (root, mountpoint) = ("/".to_owned(), PathBuf::from("/mnt"));
        Mount { id, major, minor, root, mountpoint, kind: kind.to_owned(), source: source.to_owned() }
    }

    #[test]
    fn what_the_kubelet_calls_one_device_is_one_filesystem() {
        let dir = TempDir::new().unwrap();
        let root = Arc::new(Root::open(dir.path()).unwrap());
        let place = place(1, &root, "/");
        let space = statfs::read(&root, Path::new("/")).unwrap().space;
        let one = |mounts: Vec<Mount>, devices: [u64; 2]| {
            let mut filesystems = Filesystems::default();
            let mounts = Mounts { machine: Vec::new(), own: mounts };
            let [a, b] = [(devices[0], 1), (devices[1], 2)].map(|(dev, mount)| {
                filesystems.identify(&Statfs { dev, mount: Some(mount), space }, &place, &mounts).id
            });
            a == b
        };
        let btrfs = |id| mount(id, (0, 45), "btrfs", "/dev/sda2");
        assert!(one(vec![btrfs(1), btrfs(2)], [46, 47]), "two subvolumes of one device");
        assert!(one(vec![btrfs(1)], [46, 45]), "a subvolume that no mount shows, and the first one");
        let zfs = |id, dataset| mount(id, (0, 50 + id), "zfs", dataset);
        assert!(!one(vec![zfs(1, "tank/a"), zfs(2, "tank/b")], [51, 52]), "two datasets of one pool");
        let partition = |id, minor| mount(id, (8, minor), "ext4", "/dev/sda");
        assert!(!one(vec![partition(1, 1), partition(2, 2)], [0x801, 0x802]), "two partitions");
        assert!(one(vec![partition(1, 1), partition(2, 1)], [0x801, 0x801]), "two mounts of one");
        assert!(!one(Vec::new(), [46, 47]), "without a mount table st_dev counts");
    }

    #[test]
    fn a_kubelet_finds_no_device_for_what_is_no_disk() {
        let seen = |kind: &str, source: &str| is_seen_by_kubelet(&mount(1, (0, 1), kind, source));
        for (kind, source) in
            [("ext4", "/dev/sda1"), ("xfs", "/dev/mapper/x"), ("nfs4", "host:/x"), ("bcachefs", "/dev/sdb")]
        {
            assert!(seen(kind, source), "{kind}");
        }
        for (kind, source) in [("fuse.sshfs", "host:/x"), ("virtiofs", "share"), ("9p", "share"), ("ceph", "host:/")] {
            assert!(!seen(kind, source), "{kind}");
        }
        assert!(is_seen_by_kubelet(&Mount { mountpoint: "/".into(), ..mount(1, (0, 1), "9p", "share") }));
    }

    #[test]
    fn a_device_number_is_what_st_dev_has() {
        for dev in [0x801, 0x0fff_ff00, 0x1234_5678_9abc_def0_u64 & 0xffff_f000_0fff_ffff] {
            let id = FilesystemId { dev, capacity: Bytes::ZERO, files: Inodes::new(0) };
            assert_eq!(device_number(&mount(1, (id.major(), id.minor()), "", "")), dev, "{dev:x}");
        }
    }

    #[test]
    fn the_name_is_the_mount_of_the_whole_filesystem() {
        let id = FilesystemId { dev: 0x0801, capacity: Bytes::ZERO, files: Inodes::new(0) };
        let mount = |root: &str, at: &str| Mount {
            root: root.to_owned(),
            mountpoint: at.into(),
            ..mount(1, (8, 1), "ext4", "/dev/sda1")
        };
        let mounts = [mount("/sub", "/a"), mount("/", "/mnt/disk")];
        let found = name(id, Path::new("/var/lib/containerd"), &mounts);
        assert_eq!((found.device.as_str(), found.mountpoint.as_str()), ("/dev/sda1", "/mnt/disk"));
        assert_eq!(name(id, Path::new("/x"), &[]).device.as_str(), "8:1");
    }
}
