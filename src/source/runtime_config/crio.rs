//! What was CRI-O told? Its file, its drop-ins, and the settings of containers/storage below both.
//!
//! Mirrors CRI-O `internal/criocli/criocli.go` mergeConfig: storage.conf, the file, each file of the drop-in directory in the order
//! of their names, arguments. Where the images are its own answer (ImageFsInfo) is better; where it listens nothing else tells.

use super::{RuntimeSettings, defaults, malformed_toml, read_text};
use crate::access::AccessError;
use crate::access::root::Root;
use crate::discover::parse::flag;
use crate::sample::RuntimeKind;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(default)]
    crio: Crio,
}

#[derive(Debug, Default, Deserialize)]
struct Crio {
    root: Option<PathBuf>,
    #[serde(default)]
    api: Api,
}

#[derive(Debug, Default, Deserialize)]
struct Api {
    listen: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
struct StorageFile {
    #[serde(default)]
    storage: Storage,
}

#[derive(Debug, Default, Deserialize)]
struct Storage {
    graphroot: Option<PathBuf>,
}

/// The first one that is there counts. See containers/storage `types/options.go`.
const STORAGE: [&str; 2] = ["/etc/containers/storage.conf", "/usr/share/containers/storage.conf"];
const MAX_ENTRIES: usize = 1_000;

pub(super) fn read(
    layer: &Root,
    argv: &[String],
    named: impl Fn(&[&str]) -> Option<PathBuf>,
) -> Result<RuntimeSettings, AccessError> {
    let default = defaults(RuntimeKind::Crio);
    let (mut root, mut socket) = (default.root, default.socket);
    for path in STORAGE {
        if let Some(file) = parsed::<StorageFile>(layer, Path::new(path), false)? {
            root = said(file.storage.graphroot).unwrap_or(root);
            break;
        }
    }
    let file = named(&["config", "c"]);
    let first = file.as_deref().unwrap_or(Path::new("/etc/crio/crio.conf"));
    let mut files = Vec::new();
    files.extend(parsed::<File>(layer, first, file.is_some())?);
    let drop_ins = named(&["config-dir", "d"]).unwrap_or_else(|| "/etc/crio/crio.conf.d".into());
    for name in layer.list(&drop_ins, MAX_ENTRIES).unwrap_or_default() {
        let path = drop_ins.join(name);
        // CRI-O also looks into folders here; nobody is known to have any.
        if layer.directory(&path).is_err() {
            files.extend(parsed::<File>(layer, &path, false)?);
        }
    }
    for file in files {
        root = said(file.crio.root).unwrap_or(root);
        socket = said(file.crio.api.listen).unwrap_or(socket);
    }
    let root = flag(argv, &["root", "r"]).map_or(root, PathBuf::from);
    let socket = flag(argv, &["listen"]).map_or(socket, PathBuf::from);
    let socket = socket.to_str().and_then(|text| text.strip_prefix("unix://")).map(PathBuf::from).unwrap_or(socket);
    Ok(RuntimeSettings { image_store: root.clone(), root, socket, stats_period: None, sandbox_image: None })
}

/// An empty text says nothing.
fn said(path: Option<PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty())
}

fn parsed<T: DeserializeOwned>(layer: &Root, path: &Path, must_exist: bool) -> Result<Option<T>, AccessError> {
    let Some(text) = read_text(layer, path, must_exist)? else { return Ok(None) };
    toml::from_str(&text).map(Some).map_err(|error| malformed_toml(path, &text, &error))
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::super::tests::{argv, root};
    use super::*;

    #[test]
    fn the_last_that_says_something_counts() {
        let mut files = vec![("etc/containers/storage.conf", "[storage]\ngraphroot = \"/graph\"\n")];
        let told = |files: &[(&str, &str)], line: &str| {
            let (_keep, root) = root(files);
            let told = read(&root, RuntimeKind::Crio, &argv(line), None).unwrap();
            format!("{} {}", told.root.display(), told.socket.display())
        };
        assert_eq!(told(&[], "crio"), "/var/lib/containers/storage /var/run/crio/crio.sock");
        assert_eq!(told(&files, "crio"), "/graph /var/run/crio/crio.sock");
        files.push(("etc/crio/crio.conf", "[crio]\nroot = \"/a\"\n[crio.api]\nlisten = \"/run/a.sock\"\n"));
        assert_eq!(told(&files, "crio"), "/a /run/a.sock");
        files.push(("etc/crio/crio.conf.d/20", "[crio]\nroot = \"/b\"\n"));
        files.push(("etc/crio/crio.conf.d/10", "[crio]\nroot = \"/c\"\n[crio.api]\nlisten = \"unix:///run/c.sock\"\n"));
        assert_eq!(told(&files, "crio"), "/b /run/c.sock");
        assert_eq!(told(&files, "crio --root /d --listen=/run/d.sock"), "/d /run/d.sock");
        assert_eq!(told(&files, "crio -d /nowhere"), "/a /run/a.sock");
    }
}
