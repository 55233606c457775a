//! What can a runtime be told, and what holds where it is told nothing?

use crate::sample::RuntimeKind;
use crate::time::Span;
use crate::untrusted::Label;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The environment variables of a process.
pub type Environment = BTreeMap<String, String>;

/// What a runtime was told; paths as its layer sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeSettings {
    /// The directory that everything of the runtime is below: containerd's root, Docker's data root.
    pub root: PathBuf,
    /// The directory of the images: the snapshotter's below containerd's root, Docker's data root itself.
    pub image_store: PathBuf,
    /// The socket.
    pub socket: PathBuf,
    /// How often containerd measures what its images use.
    pub stats_period: Option<Span>,
    /// The image of every pod's sandbox, where a file names it.
    pub sandbox_image: Option<Label>,
    /// The socket of the containerd that a dockerd was told to use, or finds; `None`: it starts one of its own.
    pub containerd: Option<PathBuf>,
    /// Whether a dockerd was told to keep its images in that containerd; it may do so untold.
    pub containerd_image_store: bool,
}

/// The directory of a snapshotter, below containerd's root, begins with this.
pub(super) const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1.";
/// containerd `defaults/defaults_unix.go` DefaultSnapshotter.
pub(super) const DEFAULT_SNAPSHOTTER: &str = "overlayfs";

/// The paths that hold where nothing was said. See containerd `defaults/defaults_unix.go`, dockerd's and crio's manual pages.
pub fn defaults(kind: RuntimeKind) -> RuntimeSettings {
    let (root, socket) = match kind {
        RuntimeKind::Containerd => ("/var/lib/containerd", "/run/containerd/containerd.sock"),
        RuntimeKind::Docker => ("/var/lib/docker", "/var/run/docker.sock"),
        RuntimeKind::Crio => ("/var/lib/containers/storage", "/var/run/crio/crio.sock"),
    };
    let root = PathBuf::from(root);
    let image_store = if kind == RuntimeKind::Containerd { snapshotter(&root, None) } else { root.clone() };
    RuntimeSettings { root, image_store, socket: socket.into(), ..RuntimeSettings::default() }
}

/// The directory of a snapshotter that says nothing else, below containerd's root; `None`: the one that everybody uses.
pub fn snapshotter(root: &Path, name: Option<&str>) -> PathBuf {
    root.join(format!("{SNAPSHOTTER}{}", name.unwrap_or(DEFAULT_SNAPSHOTTER)))
}

/// The directories in which a runtime keeps images and containers. Below CRI-O's root there is one that containers/storage has bound
/// onto itself, with nearly everything in it: whoever crosses no mount does not come to it from above.
pub fn directories(kind: RuntimeKind, root: &Path) -> Vec<PathBuf> {
    match kind {
        RuntimeKind::Crio => vec![root.to_owned(), root.join("overlay")],
        RuntimeKind::Containerd | RuntimeKind::Docker => vec![root.to_owned()],
    }
}
