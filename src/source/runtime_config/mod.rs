//! Where does a runtime keep its images, and where does it listen? Its arguments and its configuration files, as it reads them.
//!
//! What the runtime itself answers (CRI ImageFsInfo, Docker's DockerRootDir) is better and replaces this where it is known.

mod containerd;
mod crio;
mod settings;
mod text;

pub use settings::{Environment, RuntimeSettings, defaults, directories, snapshotter};

use crate::access::AccessError;
use crate::access::root::Root;
use crate::discover::parse::{flag, flag_values};
use crate::sample::RuntimeKind;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use text::{malformed, read_text};

#[derive(Debug, Default, Deserialize)]
struct DockerConfig {
    #[serde(rename = "data-root", alias = "graph")]
    data_root: Option<PathBuf>,
    #[serde(default)]
    hosts: Vec<String>,
    containerd: Option<PathBuf>,
    #[serde(default)]
    features: BTreeMap<String, serde_json::Value>,
}

/// Reads what a runtime with these arguments was told; `environment` is empty where it cannot be read. A default configuration file
/// that is missing is no error.
///
/// # Errors
/// When a configuration file is there but may not be read or not understood; the message does not quote its content.
pub fn read(
    root: &Root,
    kind: RuntimeKind,
    argv: &[String],
    working_directory: Option<&Path>,
    environment: &Environment,
) -> Result<RuntimeSettings, AccessError> {
    // A relative path holds from where the runtime was started.
    let named = |names: &[&str]| flag(argv, names).map(|path| working_directory.unwrap_or(Path::new("/")).join(path));
    match kind {
        RuntimeKind::Containerd => containerd::read(root, argv, named(&["config", "c"]).as_deref()),
        RuntimeKind::Docker => docker(root, argv, named(&["config-file"]).as_deref(), environment),
        RuntimeKind::Crio => crio::read(root, argv, environment, named),
    }
}

fn docker(
    layer: &Root,
    argv: &[String],
    named: Option<&Path>,
    environment: &Environment,
) -> Result<RuntimeSettings, AccessError> {
    let rootless = rootless(environment);
    let default_file = rootless.as_ref().map(|rootless| rootless.config.join("docker/daemon.json"));
    let path = named.or(default_file.as_deref()).unwrap_or(Path::new("/etc/docker/daemon.json"));
    let config: DockerConfig = match read_text(layer, path, named.is_some())? {
        Some(text) => serde_json::from_str(&text).map_err(|e| malformed(path, Some(e.line())))?,
        None => DockerConfig::default(),
    };
    let mut default = defaults(RuntimeKind::Docker);
    let mut shared = PathBuf::from("/run/containerd/containerd.sock");
    if let Some(Rootless { data, runtime, .. }) = rootless {
        (default.root, default.socket) = (data.join("docker"), runtime.join("docker.sock"));
        shared = runtime.join("containerd/containerd.sock");
    }
    let root = flag(argv, &["data-root", "g", "graph"]).map(PathBuf::from).or(config.data_root).unwrap_or(default.root);
    let hosts = flag_values(argv, &["host", "H"]);
    let socket = hosts
        .into_iter()
        .chain(config.hosts.iter().map(String::as_str))
        .find_map(|host| host.strip_prefix("unix://"))
        .map_or(default.socket, PathBuf::from);
    let told = flag(argv, &["containerd"]).map(PathBuf::from).or(config.containerd);
    let containerd = told.or_else(|| layer.exists(&shared).then_some(shared));
    let containerd_image_store = config.features.get("containerd-snapshotter") == Some(&serde_json::Value::Bool(true));
    let image_store = root.clone();
    Ok(RuntimeSettings { root, image_store, socket, containerd, containerd_image_store, ..RuntimeSettings::default() })
}

/// The directories of a user whose dockerd runs below RootlessKit.
struct Rootless {
    config: PathBuf,
    data: PathBuf,
    runtime: PathBuf,
}

/// moby `daemon/config/config_linux.go` and `pkg/homedir`: below RootlessKit the user's own directories count.
fn rootless(environment: &Environment) -> Option<Rootless> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("ROOTLESSKIT_STATE_DIR")?;
    let home = |below: &str| variable("HOME").map(|home| home.join(below));
    Some(Rootless {
        config: variable("XDG_CONFIG_HOME").or_else(|| home(".config"))?,
        data: variable("XDG_DATA_HOME").or_else(|| home(".local/share"))?,
        runtime: variable("XDG_RUNTIME_DIR")?,
    })
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
        let paths = read(&root, RuntimeKind::Containerd, &argv("containerd"), None, &Environment::new()).unwrap();
        assert_eq!(paths.image_store, Path::new("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs"));
        assert_eq!(paths.socket, Path::new("/run/containerd/containerd.sock"));
        assert_eq!(
            read(&root, RuntimeKind::Docker, &argv("dockerd"), None, &Environment::new()).unwrap().root,
            Path::new("/var/lib/docker")
        );
    }

    #[test]
    fn arguments_win_over_the_file() {
        let toml = "version = 2\nroot = \"/data\"\n[grpc]\naddress = \"/run/a.sock\"\n[plugins.\"io.containerd.grpc.v1.cri\"]\nx = 1\n";
        let (_keep, root) = root(&[("etc/my.toml", toml)]);
        let paths = read(
            &root,
            RuntimeKind::Containerd,
            &argv("containerd -c /etc/my.toml --address /run/b.sock"),
            None,
            &Environment::new(),
        )
        .unwrap();
        assert_eq!(paths.root, Path::new("/data"));
        assert_eq!(paths.socket, Path::new("/run/b.sock"));
    }

    #[test]
    fn a_file_that_was_named_and_is_missing_or_malformed_is_an_error_without_its_content() {
        let (_keep, root) = root(&[("etc/daemon.json", "{\n  \"data-root\": root:x:0:secret\n}")]);
        let missing =
            read(&root, RuntimeKind::Containerd, &argv("containerd --config=/nowhere.toml"), None, &Environment::new())
                .unwrap_err();
        assert_eq!(missing.to_string(), "open /nowhere.toml");
        let malformed = read(
            &root,
            RuntimeKind::Docker,
            &argv("dockerd --config-file /etc/daemon.json"),
            None,
            &Environment::new(),
        )
        .unwrap_err();
        assert_eq!(malformed.to_string(), "/etc/daemon.json: line 2 is not understood");
    }

    #[test]
    fn a_relative_path_holds_from_the_working_directory() {
        let (_keep, root) = root(&[("srv/my.toml", "root = \"/data\"\n")]);
        let argv = argv("containerd -c my.toml");
        let paths = read(&root, RuntimeKind::Containerd, &argv, Some(Path::new("/srv")), &Environment::new()).unwrap();
        assert_eq!(paths.root, Path::new("/data"));
    }

    #[test]
    fn docker_reads_its_data_root_and_socket_from_the_file() {
        let json = r#"{"data-root": "/docker-graph", "hosts": ["tcp://0.0.0.0:1", "unix:///run/d.sock"]}"#;
        let (_keep, root) = root(&[("etc/docker/daemon.json", json)]);
        let paths = read(&root, RuntimeKind::Docker, &argv("dockerd"), None, &Environment::new()).unwrap();
        assert_eq!(
            (paths.root.as_path(), paths.socket.as_path()),
            (Path::new("/docker-graph"), Path::new("/run/d.sock"))
        );
    }

    #[test]
    fn docker_uses_the_containerd_that_it_is_told_or_finds() {
        let settings = |files: &[(&str, &str)], line: &str, environment: &[(&str, &str)]| {
            let (_keep, root) = root(files);
            let environment =
                environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            read(&root, RuntimeKind::Docker, &argv(line), None, &environment).unwrap()
        };
        let containerd = |files: &[(&str, &str)], line: &str| settings(files, line, &[]).containerd;
        let found = ("run/containerd/containerd.sock", "");
        assert_eq!(containerd(&[], "dockerd"), None);
        assert_eq!(containerd(&[found], "dockerd"), Some("/run/containerd/containerd.sock".into()));
        assert_eq!(containerd(&[found], "dockerd --containerd=/run/b.sock"), Some("/run/b.sock".into()));
        let json = r#"{"containerd": "/run/c.sock", "features": {"containerd-snapshotter": true}}"#;
        let told = settings(&[("etc/docker/daemon.json", json)], "dockerd", &[]);
        assert_eq!((told.containerd, told.containerd_image_store), (Some("/run/c.sock".into()), true));
        let user = [("ROOTLESSKIT_STATE_DIR", "/x"), ("HOME", "/home/u"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        let rootless = settings(&[("run/user/7/containerd/containerd.sock", "")], "dockerd", &user);
        assert_eq!(rootless.root, Path::new("/home/u/.local/share/docker"));
        assert_eq!(rootless.socket, Path::new("/run/user/7/docker.sock"));
        assert_eq!(rootless.containerd, Some("/run/user/7/containerd/containerd.sock".into()));
    }
}
