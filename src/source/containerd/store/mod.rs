//! From an image's id to what it keeps on the disk: the references that containerd's own garbage collector follows.
//!
//! An image names a blob, labels of a blob name further blobs and the snapshot that it was unpacked to, a snapshot names its
//! parent. When layers are discarded after unpacking (kind), their labels are not there, and neither are the blobs.

use super::bolt::{BoltError, Bucket, Database, View};
use crate::access::AccessError;
use crate::access::root::Root;
use crate::sample::{ImageId, StoredLayer};
use crate::units::Bytes;
use crate::untrusted::Label;
use prost::Message;
use serde::Deserialize;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The databases of one containerd.
#[derive(Debug)]
pub struct Store {
    /// Images, blobs, and the names of snapshots.
    metadata: Database,
    metadata_path: PathBuf,
    /// The snapshotter's own: sizes.
    snapshots: Database,
    snapshots_path: PathBuf,
    snapshotter: String,
}

/// Why it is not known what an image keeps.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory of the images is none that containerd's own snapshotters make.
    #[error("{0} is no directory of a snapshotter of containerd")]
    Elsewhere(Label),
    /// A database cannot be opened.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A database cannot be read.
    #[error("{}: {problem}", path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The database does not have the container.
    #[error("containerd's database does not have the container {0}")]
    NoContainer(Label),
    /// The database does not have the image: it is new, or was just deleted.
    #[error("containerd's database does not have the image {0}")]
    NoImage(ImageId),
}

/// The namespace of the CRI.
const NAMESPACE: &[u8] = b"k8s.io";
const DATABASE: &str = "io.containerd.metadata.v1.bolt/meta.db";
const PLUGIN: &str = "io.containerd.snapshotter.v1.";
/// What the CRI plugin keeps of a container: its settings as the kubelet sent them, in JSON.
const CONTAINER_METADATA: &[u8] = b"io.cri-containerd.container.metadata";
const CONTENT_LABEL: &[u8] = b"containerd.io/gc.ref.content";
const SNAPSHOT_LABEL: &str = "containerd.io/gc.ref.snapshot.";
/// An image has some dozens of blobs; an overlay filesystem takes at most 500 layers.
const MOST_BLOBS: usize = 1_024;
const MOST_SNAPSHOTS: usize = 1_024;
const MOST_LABELS: usize = 1_024;
const MOST_NAMESPACES: usize = 64;
/// Volumes of one container that are images.
const MOST_VOLUMES: usize = 256;

impl Store {
    /// The databases of the containerd whose default snapshotter keeps its files in `image_store`, as CRI's ImageFsInfo says:
    /// `ROOT/io.containerd.snapshotter.v1.NAME`.
    ///
    /// # Errors
    /// When that is another directory, or a database is not there or may not be read.
    pub fn open(root: &Root, image_store: &Path) -> Result<Self, StoreError> {
        let elsewhere = || StoreError::Elsewhere(Label::new(&image_store.to_string_lossy()));
        let name = image_store.file_name().and_then(|name| name.to_str()).ok_or_else(elsewhere)?;
        let snapshotter = name.strip_prefix(PLUGIN).ok_or_else(elsewhere)?.to_owned();
        let metadata_path = image_store.parent().ok_or_else(elsewhere)?.join(DATABASE);
        let snapshots_path = image_store.join("metadata.db");
        Ok(Self {
            metadata: Database::new(root.open_file(&metadata_path)?),
            snapshots: Database::new(root.open_file(&snapshots_path)?),
            metadata_path,
            snapshots_path,
            snapshotter,
        })
    }

    /// What an image keeps, each blob and each snapshot once, in no order. What also another namespace of containerd refers to
    /// stays when the image goes, and has no bytes here.
    ///
    /// Blobs are counted as they were written, snapshots as containerd measured their files when it unpacked them.
    ///
    /// # Errors
    /// When containerd does not have the image, or a database cannot be understood.
    pub fn layers(&self, image: &ImageId) -> Result<Vec<StoredLayer>, StoreError> {
        let found = self.metadata.read(|view| self.kept(view, image));
        let found = found.map_err(|error| database(&self.metadata_path, &error))?;
        let Kept { blobs, snapshots } = found.ok_or_else(|| StoreError::NoImage(image.clone()))?;
        let sizes = self.snapshots.read(|view| sizes(view, &snapshots));
        let sizes = sizes.map_err(|error| database(&self.snapshots_path, &error))?;
        let snapshots = snapshots.iter().zip(sizes);
        Ok(blobs
            .iter()
            .map(|(digest, bytes)| stored("blob", digest, *bytes))
            .chain(snapshots.map(|(snapshot, bytes)| stored("unpacked", &snapshot.key, bytes)))
            .collect())
    }

    /// The images that a container of a pod mounts as volumes, as the kubelet named them: by id.
    ///
    /// # Errors
    /// When containerd does not have the container, or what it keeps of it cannot be understood.
    pub fn image_volumes(&self, container: &Label) -> Result<Vec<ImageId>, StoreError> {
        let path = [b"v1", NAMESPACE, b"containers", container.as_str().as_bytes(), b"extensions"];
        let found = self.metadata.read(|view| match view.bucket(&path)? {
            Some(extensions) => view.value(&extensions, CONTAINER_METADATA),
            None => Ok(None),
        });
        let found = found.map_err(|error| database(&self.metadata_path, &error))?;
        let extension = found.ok_or_else(|| StoreError::NoContainer(container.clone()))?;
        image_volumes(&extension).ok_or_else(|| {
            let problem = format!("what it keeps of the container {container} is not understood");
            StoreError::Database { path: self.metadata_path.clone(), problem }
        })
    }

    /// `None`: there is no such image.
    fn kept(&self, view: &View<'_>, image: &ImageId) -> Result<Option<Kept>, BoltError> {
        let Some(metadata) = view.bucket(&[b"v1"])? else { return Err(BoltError::Malformed("no bucket v1")) };
        let target = [NAMESPACE, b"images", image.as_str().as_bytes(), b"target"];
        let Some(target) = view.bucket_in(&metadata, &target)? else { return Ok(None) };
        let Some(target) = view.value(&target, b"digest")? else { return Ok(None) };
        let blobs = view.bucket_in(&metadata, &[NAMESPACE, b"content", b"blob"])?;
        let Some(blobs) = blobs else { return Ok(None) };
        let others = OnceCell::new();
        let elsewhere = |digest: &[u8]| -> Result<bool, BoltError> {
            if others.get().is_none() {
                let found = other_blobs(view, &metadata)?;
                others.get_or_init(|| found);
            }
            let is_there = |blobs: &Bucket| Ok(view.bucket_in(blobs, &[digest])?.is_some());
            others.get().into_iter().flatten().try_fold(false, |found, blobs| Ok(found || is_there(blobs)?))
        };
        let snapshot_label = format!("{SNAPSHOT_LABEL}{}", self.snapshotter);
        let mut kept = Kept::default();
        let (mut ahead, mut seen, mut tops) = (vec![target], BTreeSet::new(), BTreeSet::new());
        while let Some(digest) = ahead.pop() {
            if seen.len() >= MOST_BLOBS {
                return Err(BoltError::Malformed("an image of more blobs than there can be"));
            }
            if !seen.insert(digest.clone()) {
                continue;
            }
            // A label can name a blob that was never fetched: another platform's.
            let Some(blob) = view.bucket_in(&blobs, &[&digest])? else { continue };
            let bytes = view.value(&blob, b"size")?.and_then(|size| varint(&size)).unwrap_or(Bytes::ZERO);
            let bytes = if elsewhere(&digest)? { Bytes::ZERO } else { bytes };
            let Some(labels) = view.bucket_in(&blob, &[b"labels"])? else {
                kept.blobs.push((digest, bytes));
                continue;
            };
            for (key, value) in view.entries(&labels, MOST_LABELS)? {
                match key.strip_prefix(CONTENT_LABEL) {
                    Some([] | [b'.' | b'/', ..]) => ahead.push(value),
                    _ if key.starts_with(snapshot_label.as_bytes()) => {
                        tops.insert(value);
                    }
                    _ => {}
                }
            }
            kept.blobs.push((digest, bytes));
        }
        let names = [NAMESPACE, b"snapshots", self.snapshotter.as_bytes()];
        if let Some(names) = view.bucket_in(&metadata, &names)? {
            kept.snapshots = chains(view, &names, tops)?;
        }
        Ok(Some(kept))
    }
}

/// google.protobuf.Any.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// The part of containerd `internal/cri/store/container/metadata.go` that is read. `Mounts` are those of the CRI.
#[derive(Deserialize)]
struct Versioned {
    #[serde(rename = "Metadata")]
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "Config")]
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    mounts: Vec<Mount>,
}

#[derive(Deserialize)]
struct Mount {
    image: Option<Image>,
}

#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    image: String,
}

fn image_volumes(extension: &[u8]) -> Option<Vec<ImageId>> {
    let any = Any::decode(extension).ok()?;
    let found: Versioned = serde_json::from_slice(&any.value).ok()?;
    let images = found.metadata.config.mounts.into_iter().filter_map(|mount| mount.image);
    Some(images.map(|image| ImageId::new(image.image)).take(MOST_VOLUMES).collect())
}

/// What one image keeps, by the names in containerd's metadata.
#[derive(Debug, Default)]
struct Kept {
    /// Digest and size.
    blobs: Vec<(Vec<u8>, Bytes)>,
    snapshots: Vec<Snapshot>,
}

#[derive(Debug)]
struct Snapshot {
    /// Its name in the namespace: the digest of its chain.
    key: Vec<u8>,
    /// Its name in the snapshotter's database.
    name: Vec<u8>,
}

/// The blobs of the other namespaces.
fn other_blobs(view: &View<'_>, metadata: &Bucket) -> Result<Vec<Bucket>, BoltError> {
    let mut found = Vec::new();
    for (namespace, _) in view.entries(metadata, MOST_NAMESPACES)? {
        if namespace != NAMESPACE {
            found.extend(view.bucket_in(metadata, &[&namespace, b"content", b"blob"])?);
        }
    }
    Ok(found)
}

/// Snapshots with all their parents, each once.
fn chains(view: &View<'_>, names: &Bucket, tops: BTreeSet<Vec<u8>>) -> Result<Vec<Snapshot>, BoltError> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for top in tops {
        let mut next = Some(top);
        while let Some(key) = next.take().filter(|key| !key.is_empty() && seen.insert(key.clone())) {
            if found.len() >= MOST_SNAPSHOTS {
                return Err(BoltError::Malformed("an image of more snapshots than there can be"));
            }
            // A label can outlive its snapshot.
            let Some(snapshot) = view.bucket_in(names, &[&key])? else { break };
            let Some(name) = view.value(&snapshot, b"name")? else { break };
            next = view.value(&snapshot, b"parent")?;
            found.push(Snapshot { key, name });
        }
    }
    Ok(found)
}

/// The size of each snapshot, as the snapshotter keeps it.
fn sizes(view: &View<'_>, snapshots: &[Snapshot]) -> Result<Vec<Bytes>, BoltError> {
    let Some(all) = view.bucket(&[b"v1", b"snapshots"])? else {
        return Err(BoltError::Malformed("no bucket of snapshots"));
    };
    let size = |snapshot: &Snapshot| {
        let Some(found) = view.bucket_in(&all, &[&snapshot.name])? else { return Ok(Bytes::ZERO) };
        Ok(view.value(&found, b"size")?.and_then(|size| varint(&size)).unwrap_or(Bytes::ZERO))
    };
    snapshots.iter().map(size).collect()
}

/// A name that is short and tells what it is of: sixteen digits of a digest do not meet by accident.
fn stored(kind: &str, digest: &[u8], bytes: Bytes) -> StoredLayer {
    let digest = String::from_utf8_lossy(digest);
    let short: String = digest.rsplit(':').next().unwrap_or_default().chars().take(16).collect();
    StoredLayer { id: Label::from(format!("{kind}:{short}")), bytes }
}

/// Go's binary.Varint: zigzag in groups of seven bits, least first. `None` for a negative or endless number.
fn varint(bytes: &[u8]) -> Option<Bytes> {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    let groups = bytes.get(..=end).filter(|groups| groups.len() <= 9)?;
    let number = groups.iter().rev().fold(0_u64, |number, byte| (number << 7) | u64::from(byte & 0x7f));
    (number & 1 == 0).then(|| Bytes::new(number >> 1))
}

fn database(path: &Path, error: &BoltError) -> StoreError {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    StoreError::Database { path: path.to_owned(), problem: format!("{error}{cause}") }
}

#[cfg(test)]
mod tests;
