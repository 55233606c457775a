//! What can a runtime be told, and what holds where it is told nothing?

use crate::sample::RuntimeKind;
use crate::time::Span;
use std::path::{Path, PathBuf};

/// What a runtime was told; paths as its layer sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeSettings {
    /// The directory that everything of the runtime is below: containerd's root, Docker's data root.
    pub root: PathBuf,
    /// The directory of the images: the snapshotter's below containerd's root, Docker's data root itself.
    pub image_store: PathBuf,
    /// The socket.
    pub socket: PathBuf,
    /// How often containerd measures what its images use.
    pub stats_period: Option<Span>,
}

/// The directory of containerd's default snapshotter, below its root.
pub(super) const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1.overlayfs";

/// The paths that hold where nothing was said. See containerd `defaults/defaults_unix.go`, dockerd's and crio's manual pages.
pub fn defaults(kind: RuntimeKind) -> RuntimeSettings {
    let (root, image_store, socket) = match kind {
        RuntimeKind::Containerd => ("/var/lib/containerd", SNAPSHOTTER, "/run/containerd/containerd.sock"),
        RuntimeKind::Docker => ("/var/lib/docker", "", "/var/run/docker.sock"),
        RuntimeKind::Crio => ("/var/lib/containers/storage", "", "/var/run/crio/crio.sock"),
    };
    RuntimeSettings {
        root: root.into(),
        image_store: below(Path::new(root), image_store),
        socket: socket.into(),
        stats_period: None,
    }
}

/// The directories in which a runtime keeps images and containers. Below CRI-O's root there is one that containers/storage has bound
/// onto itself, with nearly everything in it: whoever crosses no mount does not come to it from above.
pub fn directories(kind: RuntimeKind, root: &Path) -> Vec<PathBuf> {
    match kind {
        RuntimeKind::Crio => vec![root.to_owned(), root.join("overlay")],
        RuntimeKind::Containerd | RuntimeKind::Docker => vec![root.to_owned()],
    }
}

fn below(root: &Path, name: &str) -> PathBuf {
    if name.is_empty() { root.to_owned() } else { root.join(name) }
}
