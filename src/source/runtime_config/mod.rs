//! Where does a runtime keep its images, and where does it listen? Its arguments and its configuration files, as it reads them.
//!
//! What the runtime itself answers (CRI ImageFsInfo, Docker's DockerRootDir) is better and replaces this where it is known.

mod containerd;
mod crio;

use crate::access::AccessError;
use crate::access::root::Root;
use crate::discover::parse::{flag, flag_values};
use crate::sample::RuntimeKind;
use crate::time::Span;
use crate::untrusted::Label;
use serde::Deserialize;
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
    /// The image of every pod's sandbox, where a file names it.
    pub sandbox_image: Option<Label>,
}

/// Configuration files of runtimes are a few KiB.
const LIMIT: usize = 256 << 10;

#[derive(Debug, Default, Deserialize)]
struct DockerConfig {
    #[serde(rename = "data-root", alias = "graph")]
    data_root: Option<PathBuf>,
    #[serde(default)]
    hosts: Vec<String>,
}

/// Reads what a runtime with these arguments was told. A default configuration file that is missing is no error.
///
/// # Errors
/// When a configuration file is there but may not be read or not understood; the message does not quote its content.
pub fn read(
    root: &Root,
    kind: RuntimeKind,
    argv: &[String],
    working_directory: Option<&Path>,
) -> Result<RuntimeSettings, AccessError> {
    // A relative path holds from where the runtime was started.
    let named = |names: &[&str]| flag(argv, names).map(|path| working_directory.unwrap_or(Path::new("/")).join(path));
    match kind {
        RuntimeKind::Containerd => containerd::read(root, argv, named(&["config", "c"]).as_deref()),
        RuntimeKind::Docker => docker(root, argv, named(&["config-file"]).as_deref()),
        RuntimeKind::Crio => crio::read(root, argv, named),
    }
}

/// The paths that hold where nothing was said. See containerd `defaults/defaults_unix.go`, dockerd's and crio's manual pages.
pub fn defaults(kind: RuntimeKind) -> RuntimeSettings {
    let (root, socket) = match kind {
        RuntimeKind::Containerd => ("/var/lib/containerd", "/run/containerd/containerd.sock"),
        RuntimeKind::Docker => ("/var/lib/docker", "/var/run/docker.sock"),
        RuntimeKind::Crio => ("/var/lib/containers/storage", "/var/run/crio/crio.sock"),
    };
    let root = PathBuf::from(root);
    let image_store =
        if kind == RuntimeKind::Containerd { containerd::default_image_store(&root) } else { root.clone() };
    RuntimeSettings { root, image_store, socket: socket.into(), stats_period: None, sandbox_image: None }
}

/// The directories in which a runtime keeps images and containers. Below CRI-O's root there is one that containers/storage has bound
/// onto itself, with nearly everything in it: whoever crosses no mount does not come to it from above.
pub fn directories(kind: RuntimeKind, root: &Path) -> Vec<PathBuf> {
    match kind {
        RuntimeKind::Crio => vec![root.to_owned(), root.join("overlay")],
        RuntimeKind::Containerd | RuntimeKind::Docker => vec![root.to_owned()],
    }
}

fn docker(layer: &Root, argv: &[String], named: Option<&Path>) -> Result<RuntimeSettings, AccessError> {
    let path = named.unwrap_or(Path::new("/etc/docker/daemon.json"));
    let config: DockerConfig = match read_text(layer, path, named.is_some())? {
        Some(text) => serde_json::from_str(&text).map_err(|e| malformed(path, Some(e.line())))?,
        None => DockerConfig::default(),
    };
    let default = defaults(RuntimeKind::Docker);
    let root = flag(argv, &["data-root", "g", "graph"]).map(PathBuf::from).or(config.data_root).unwrap_or(default.root);
    let hosts = flag_values(argv, &["host", "H"]);
    let socket = hosts
        .into_iter()
        .chain(config.hosts.iter().map(String::as_str))
        .find_map(|host| host.strip_prefix("unix://"))
        .map_or(default.socket, PathBuf::from);
    Ok(RuntimeSettings { image_store: root.clone(), root, socket, stats_period: None, sandbox_image: None })
}

fn read_text(root: &Root, path: &Path, must_exist: bool) -> Result<Option<String>, AccessError> {
    match root.read_file(path, LIMIT) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| malformed(path, None)),
        Err(error) if !must_exist && error.reason() == crate::sample::AbsenceReason::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says where, never what: the file may be a link to something secret.
fn malformed(path: &Path, line: Option<usize>) -> AccessError {
    let problem = line.map_or_else(|| "is not valid UTF-8".to_owned(), |line| format!("line {line} is not understood"));
    AccessError::Malformed { path: path.to_owned(), problem }
}

fn malformed_toml(path: &Path, text: &str, error: &toml::de::Error) -> AccessError {
    malformed(path, error.span().map(|span| line_of(text, span.start)))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    pub(super) fn root(files: &[(&str, &str)]) -> (TempDir, Root) {
        let dir = TempDir::new().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let root = Root::open(dir.path()).unwrap();
        (dir, root)
    }

    pub(super) fn argv(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn without_a_file_the_defaults_hold() {
        let (_keep, root) = root(&[]);
        let paths = read(&root, RuntimeKind::Containerd, &argv("containerd"), None).unwrap();
        assert_eq!(paths.image_store, Path::new("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs"));
        assert_eq!(paths.socket, Path::new("/run/containerd/containerd.sock"));
        assert_eq!(
            read(&root, RuntimeKind::Docker, &argv("dockerd"), None).unwrap().root,
            Path::new("/var/lib/docker")
        );
    }

    #[test]
    fn arguments_win_over_the_file() {
        let toml = "version = 2\nroot = \"/data\"\n[grpc]\naddress = \"/run/a.sock\"\n[plugins.\"io.containerd.grpc.v1.cri\"]\nx = 1\n";
        let (_keep, root) = root(&[("etc/my.toml", toml)]);
        let paths =
            read(&root, RuntimeKind::Containerd, &argv("containerd -c /etc/my.toml --address /run/b.sock"), None)
                .unwrap();
        assert_eq!(paths.root, Path::new("/data"));
        assert_eq!(paths.socket, Path::new("/run/b.sock"));
    }

    #[test]
    fn a_file_that_was_named_and_is_missing_or_malformed_is_an_error_without_its_content() {
        let (_keep, root) = root(&[("etc/daemon.json", "{\n  \"data-root\": root:x:0:secret\n}")]);
        let missing =
            read(&root, RuntimeKind::Containerd, &argv("containerd --config=/nowhere.toml"), None).unwrap_err();
        assert_eq!(missing.to_string(), "open /nowhere.toml");
        let malformed =
            read(&root, RuntimeKind::Docker, &argv("dockerd --config-file /etc/daemon.json"), None).unwrap_err();
        assert_eq!(malformed.to_string(), "/etc/daemon.json: line 2 is not understood");
    }

    #[test]
    fn a_relative_path_holds_from_the_working_directory() {
        let (_keep, root) = root(&[("srv/my.toml", "root = \"/data\"\n")]);
        let argv = argv("containerd -c my.toml");
        let paths = read(&root, RuntimeKind::Containerd, &argv, Some(Path::new("/srv"))).unwrap();
        assert_eq!(paths.root, Path::new("/data"));
    }

    #[test]
    fn docker_reads_its_data_root_and_socket_from_the_file() {
        let json = r#"{"data-root": "/docker-graph", "hosts": ["tcp://0.0.0.0:1", "unix:///run/d.sock"]}"#;
        let (_keep, root) = root(&[("etc/docker/daemon.json", json)]);
        let paths = read(&root, RuntimeKind::Docker, &argv("dockerd"), None).unwrap();
        assert_eq!(
            (paths.root.as_path(), paths.socket.as_path()),
            (Path::new("/docker-graph"), Path::new("/run/d.sock"))
        );
    }
}
