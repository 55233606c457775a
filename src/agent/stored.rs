//! What do the images of one runtime occupy on the disk, and which of them are mounted as volumes? Read item by item and cached,
//! since a list of thousands takes seconds and neither changes much.

use super::clock;
use super::lock::lock;
use crate::access::AccessError;
use crate::access::deadline::SingleFlight;
use crate::access::root::Root;
use crate::sample::{Absence, ImageId, ImageStore, StoredLayer};
use crate::source::containerd::{Store, StoreError};
use crate::untrusted::Label;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What is known of the images and containers of one layer. It lives from round to round.
#[derive(Debug, Default)]
pub struct Stored {
    single_flight: SingleFlight,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    images: BTreeMap<ImageId, CachedImage>,
    /// The images that a container mounts; fixed when it is made.
    volumes: BTreeMap<Label, Vec<ImageId>>,
    /// Why nothing could be read when it was last tried, so that it is said once.
    problem: Option<String>,
}

/// What one image occupies; `None` where it could not be told.
#[derive(Debug)]
struct CachedImage {
    layers: Option<Arc<[StoredLayer]>>,
    read_at: Instant,
}

/// What is to be read.
#[derive(Debug, Default)]
struct Due {
    images: Vec<ImageId>,
    containers: Vec<Label>,
}

/// What was read of it.
#[derive(Debug, Default)]
struct Found {
    images: Vec<(ImageId, CachedImage)>,
    volumes: Vec<(Label, Vec<ImageId>)>,
}

/// When an image is read again: its blobs can be discarded after it was unpacked, or be used by another namespace as well.
const REFRESH: Duration = Duration::from_mins(10);
/// An image that was listed before its records were complete is tried again soon.
const RETRY: Duration = Duration::from_mins(1);
/// How long one round reads; the rest waits for the next ones.
const BUDGET: Duration = Duration::from_millis(250);
const DEADLINE: Duration = Duration::from_secs(2);
/// Blobs and snapshots of all images of a layer, 70 bytes each; 5,000 images of ten layers have 100,000.
const MOST_PARTS: usize = 300_000;
/// Images that all containers of a layer mount.
const MOST_VOLUMES: usize = 20_000;

impl Stored {
    /// Fills in what the images of a containerd occupy and which its containers mount, as far as that is known, and reads more of
    /// it. `image_store` is the directory of its snapshotter, as the runtime itself names it.
    pub async fn fill(self: &Arc<Self>, root: Arc<Root>, image_store: PathBuf, images: &mut ImageStore) {
        let due = self.due(images);
        if !due.images.is_empty() || !due.containers.is_empty() {
            let stored = Arc::clone(self);
            let reading = tokio::task::spawn_blocking(move || stored.read(root, image_store, due));
            if reading.await.is_err() {
                tracing::warn!("what the images occupy on the disk could not be read: the reader panicked");
            }
        }
        let known = lock(&self.cache);
        for image in &mut images.images {
            image.layers = known.images.get(&image.id).and_then(|known| known.layers.clone());
        }
        // One that was not read yet may mount any image.
        images.hidden_volumes = images.containers.iter().any(|container| !known.volumes.contains_key(&container.id));
        for container in &mut images.containers {
            container.image_volumes = known.volumes.get(&container.id).cloned().unwrap_or_default();
        }
    }

    /// What to read now. Drops what is no longer listed.
    fn due(&self, listed: &ImageStore) -> Due {
        let now = clock::monotonic();
        let mut known = lock(&self.cache);
        let images: BTreeSet<&ImageId> = listed.images.iter().map(|image| &image.id).collect();
        let containers: BTreeSet<&Label> = listed.containers.iter().map(|container| &container.id).collect();
        known.images.retain(|id, _| images.contains(id));
        known.volumes.retain(|id, _| containers.contains(id));
        let is_due = |id: &&ImageId| {
            known.images.get(*id).is_none_or(|image| {
                let again = if image.layers.is_some() { REFRESH } else { RETRY };
                now.saturating_duration_since(image.read_at) >= again
            })
        };
        Due {
            images: images.iter().copied().filter(is_due).cloned().collect(),
            containers: containers.into_iter().filter(|id| !known.volumes.contains_key(id)).cloned().collect(),
        }
    }

    fn read(&self, root: Arc<Root>, image_store: PathBuf, due: Due) {
        let path = image_store.clone();
        let read = self
            .single_flight
            .call("read the databases beside", &path, DEADLINE, move || read(&root, &image_store, due));
        let (found, problem) = match read {
            Ok(found) => (found, None),
            Err(error) => (Found::default(), Some(Absence::from(error).to_string())),
        };
        let mut known = lock(&self.cache);
        known.take(found);
        if let Some(problem) = problem.as_ref().filter(|_| problem != known.problem) {
            tracing::info!(%problem, "what the images occupy on the disk is not known");
        }
        known.problem = problem;
    }
}

impl Cache {
    /// Caches what was found, up to the limits, since records can be made to be endless. What is beyond them is not known.
    fn take(&mut self, found: Found) {
        let parts = |image: &CachedImage| image.layers.as_ref().map_or(0, |layers| layers.len());
        let mut cached: usize = self.images.values().map(parts).sum();
        for (id, mut image) in found.images {
            cached -= self.images.remove(&id).as_ref().map_or(0, parts);
            if cached + parts(&image) > MOST_PARTS {
                image.layers = None;
            }
            cached += parts(&image);
            self.images.insert(id, image);
        }
        let mut mounted: usize = self.volumes.values().map(Vec::len).sum();
        for (id, volumes) in found.volumes {
            if mounted + volumes.len() <= MOST_VOLUMES {
                mounted += volumes.len();
                self.volumes.insert(id, volumes);
            }
        }
    }
}

/// Reads until the budget is used up: containers first, since what they mount decides who can go at all. A store that cannot be
/// opened is the same for all.
fn read(root: &Root, image_store: &Path, due: Due) -> Result<Found, AccessError> {
    let begin = clock::monotonic();
    let in_time = || begin.elapsed() < BUDGET;
    let store = match Store::open(root, image_store) {
        Ok(store) => store,
        Err(StoreError::Access(error)) => return Err(error),
        // Another snapshotter than containerd's own.
        Err(_) => return Ok(Found::default()),
    };
    let skipped = |error: &StoreError| tracing::debug!(%error, "a record of containerd is skipped");
    let volumes = |id: Label| store.image_volumes(&id).inspect_err(skipped).ok().map(|volumes| (id, volumes));
    let volumes = due.containers.into_iter().take_while(|_| in_time()).filter_map(volumes).collect();
    let image = |id: ImageId| {
        let layers = store.layers(&id).map(Arc::from).inspect_err(skipped);
        (id, CachedImage { layers: layers.ok(), read_at: clock::monotonic() })
    };
    let images = due.images.into_iter().take_while(|_| in_time()).map(image).collect();
    Ok(Found { images, volumes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Image;
    use flate2::read::GzDecoder;
    use std::io::Read;
    use tempfile::TempDir;

    const IMAGE: &str = "sha256:a1ab75ce8ff77d05c003e7a9540f018b28ed093b8cab5be902f7a1a076d8d9c8";
    const SNAPSHOTTER: &str = "/c/io.containerd.snapshotter.v1.overlayfs";

    /// The databases of a real containerd, see `source/containerd`.
    fn machine() -> (TempDir, Arc<Root>) {
        let dir = TempDir::new().unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/containerd");
        for (packed, path) in [
            ("meta.db.gz", "c/io.containerd.metadata.v1.bolt/meta.db"),
            ("metadata.db.gz", "c/io.containerd.snapshotter.v1.overlayfs/metadata.db"),
        ] {
            let mut bytes = Vec::new();
            let file = std::fs::File::open(fixtures.join(packed)).unwrap();
            GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let root = Arc::new(Root::open(dir.path()).unwrap());
        (dir, root)
    }

    fn images(ids: &[&str]) -> ImageStore {
        let image = |id: &&str| Image {
            id: (*id).into(),
            tags: Vec::new(),
            digests: Vec::new(),
            size: None,
            pinned: false,
            layers: None,
        };
        ImageStore { images: ids.iter().map(image).collect(), complete: true, ..ImageStore::default() }
    }

    fn filled(stored: &Arc<Stored>, root: &Arc<Root>, place: &str, ids: &[&str]) -> Vec<Option<usize>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut images = images(ids);
        runtime.block_on(stored.fill(Arc::clone(root), place.into(), &mut images));
        images.images.iter().map(|image| image.layers.as_ref().map(|layers| layers.len())).collect()
    }

    #[test]
    fn an_image_is_read_once_and_dropped_when_it_is_no_longer_listed() {
        let (dir, root) = machine();
        let stored = Arc::new(Stored::default());
        assert_eq!(filled(&stored, &root, SNAPSHOTTER, &[IMAGE, "sha256:0"]), [Some(6), None]);
        // Without its databases only what is remembered is known.
        std::fs::remove_dir_all(dir.path().join("c")).unwrap();
        assert_eq!(filled(&stored, &root, SNAPSHOTTER, &["sha256:1", IMAGE]), [None, Some(6)]);
        assert_eq!(filled(&stored, &root, SNAPSHOTTER, &["sha256:1"]), [None]);
        assert_eq!(filled(&stored, &root, SNAPSHOTTER, &[IMAGE]), [None]);
    }

    #[test]
    fn records_without_end_are_cached_up_to_the_limits() {
        let part = StoredLayer { id: "blob:0".into(), bytes: crate::units::Bytes::ZERO };
        let large: Arc<[StoredLayer]> = vec![part; MOST_PARTS / 2].into();
        let image =
            |id: &str| (id.into(), CachedImage { layers: Some(Arc::clone(&large)), read_at: clock::monotonic() });
        let mut known = Cache::default();
        known.take(Found { images: ["a", "b", "c"].map(image).into(), volumes: Vec::new() });
        let whole = |known: &Cache| known.images.values().map(|image| image.layers.is_some()).collect::<Vec<_>>();
        assert_eq!(whole(&known), [true, true, false]);
        // Reading one again takes no second place.
        known.take(Found { images: vec![image("a")], volumes: Vec::new() });
        assert_eq!(whole(&known), [true, true, false]);
        let many = |id: &str| (Label::new(id), vec!["sha256:0".into(); MOST_VOLUMES / 2 + 1]);
        known.take(Found { images: Vec::new(), volumes: ["x", "y"].map(many).into() });
        assert_eq!(known.volumes.keys().collect::<Vec<_>>(), [&Label::new("x")]);
    }

    #[test]
    fn other_stores_than_those_of_containerd_are_left_alone() {
        let (_keep, root) = machine();
        assert_eq!(filled(&Arc::new(Stored::default()), &root, "/var/lib/containers/storage", &[IMAGE]), [None]);
    }
}
