//! What was CRI-O told? Its file, its drop-ins, and the settings of containers/storage below both.
//!
//! Mirrors CRI-O `internal/criocli/criocli.go` mergeConfig: storage.conf, the file, each file of the drop-in directory in the order
//! of their names, arguments. Where the images are its own answer (ImageFsInfo) is better; where it listens nothing else tells.

use super::settings::{Environment, RuntimeSettings, defaults};
use super::text::{malformed_toml, read_text};
use crate::access::AccessError;
use crate::access::root::Root;
use crate::discover::parse::flag;
use crate::sample::RuntimeKind;
use crate::untrusted::Label;
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
    imagestore: Option<PathBuf>,
    storage_driver: Option<PathBuf>,
    #[serde(default)]
    api: Api,
    #[serde(default)]
    image: Image,
}

#[derive(Debug, Default, Deserialize)]
struct Api {
    listen: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
struct Image {
    pause_image: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
struct StorageFile {
    #[serde(default)]
    storage: Storage,
}

#[derive(Debug, Default, Deserialize)]
struct Storage {
    graphroot: Option<PathBuf>,
    imagestore: Option<PathBuf>,
    driver: Option<PathBuf>,
}

/// The first one that is there counts. See containers/storage `types/options.go`.
const STORAGE: [&str; 2] = ["/etc/containers/storage.conf", "/usr/share/containers/storage.conf"];
const MAX_ENTRIES: usize = 1_000;
/// Folders in folders of drop-ins.
const MAX_DEPTH: usize = 8;

pub(super) fn read(
    layer: &Root,
    argv: &[String],
    environment: &Environment,
    named: impl Fn(&[&str]) -> Option<PathBuf>,
) -> Result<RuntimeSettings, AccessError> {
    let default = defaults(RuntimeKind::Crio);
    let (mut root, mut socket) = (default.root, default.socket);
    let (mut images, mut driver, mut sandbox_image) = (None, None, None);
    let told = environment.get("CONTAINERS_STORAGE_CONF").filter(|path| !path.is_empty());
    for path in told.map(String::as_str).into_iter().chain(STORAGE) {
        if let Some(file) = parsed::<StorageFile>(layer, Path::new(path), false)? {
            root = said(file.storage.graphroot).unwrap_or(root);
            (images, driver) = (said(file.storage.imagestore), said(file.storage.driver));
            break;
        }
    }
    let file = named(&["config", "c"]);
    let first = file.as_deref().unwrap_or(Path::new("/etc/crio/crio.conf"));
    let mut files = Vec::new();
    files.extend(parsed::<File>(layer, first, file.is_some())?);
    let drop_ins = named(&["config-dir", "d"]).unwrap_or_else(|| "/etc/crio/crio.conf.d".into());
    read_drop_ins(layer, &drop_ins, 0, &mut files)?;
    for File { crio } in files {
        root = said(crio.root).unwrap_or(root);
        images = said(crio.imagestore).or(images);
        driver = said(crio.storage_driver).or(driver);
        socket = said(crio.api.listen).unwrap_or(socket);
        sandbox_image = said(crio.image.pause_image).or(sandbox_image);
    }
    let root = flag(argv, &["root", "r"]).map_or(root, PathBuf::from);
    let images = flag(argv, &["imagestore"]).map(PathBuf::from).or(images);
    let driver = flag(argv, &["storage-driver", "s"]).map(PathBuf::from).or(driver);
    let socket = flag(argv, &["listen"]).map_or(socket, PathBuf::from);
    let socket = socket.to_str().and_then(|text| text.strip_prefix("unix://")).map(PathBuf::from).unwrap_or(socket);
    // CRI-O `server/image_fs_info.go`.
    let driver = driver.unwrap_or_else(|| "overlay".into());
    let image_store = images.as_ref().unwrap_or(&root).join(format!("{}-images", driver.display()));
    let sandbox_image = sandbox_image.map(|name| Label::new(&name.to_string_lossy()));
    Ok(RuntimeSettings { root, image_store, socket, sandbox_image, ..RuntimeSettings::default() })
}

/// Every file of a folder and the folders in it, in the order of their names.
fn read_drop_ins(layer: &Root, folder: &Path, depth: usize, files: &mut Vec<File>) -> Result<(), AccessError> {
    for name in layer.list(folder, MAX_ENTRIES).unwrap_or_default() {
        let path = folder.join(name);
        if layer.directory(&path).is_err() {
            files.extend(parsed::<File>(layer, &path, false)?);
        } else if depth < MAX_DEPTH {
            read_drop_ins(layer, &path, depth + 1, files)?;
        }
    }
    Ok(())
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
            let told = read(&root, RuntimeKind::Crio, &argv(line), None, &Environment::new()).unwrap();
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

    #[test]
    fn images_may_lie_apart_from_the_root() {
        let images = |files: &[(&str, &str)], line: &str| {
            let (_keep, root) = root(files);
            let told = read(&root, RuntimeKind::Crio, &argv(line), None, &Environment::new()).unwrap();
            told.image_store.display().to_string()
        };
        assert_eq!(images(&[], "crio"), "/var/lib/containers/storage/overlay-images");
        let storage = ("etc/containers/storage.conf", "[storage]\ndriver = 'btrfs'\nimagestore = '/images'\n");
        assert_eq!(images(&[storage], "crio"), "/images/btrfs-images");
        let nested =
            ("etc/crio/crio.conf.d/10-more/20.conf", "[crio]\nimagestore = '/other'\nstorage_driver = 'vfs'\n");
        assert_eq!(images(&[storage, nested], "crio"), "/other/vfs-images");
        assert_eq!(images(&[storage, nested], "crio --imagestore /third -s overlay"), "/third/overlay-images");
        let (_keep, root) = root(&[("srv/storage.conf", "[storage]\ngraphroot = '/graph'\n")]);
        let environment = [("CONTAINERS_STORAGE_CONF".to_owned(), "/srv/storage.conf".to_owned())].into();
        let told = read(&root, RuntimeKind::Crio, &argv("crio"), None, &environment).unwrap();
        assert_eq!(told.image_store, Path::new("/graph/overlay-images"));
    }
}
