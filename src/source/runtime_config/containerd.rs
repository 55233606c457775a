//! What was containerd told? Its file, and those that it imports, of configuration version 1 to 4.
//!
//! Mirrors containerd `cmd/containerd/server/config/config.go` LoadConfig: the files that are imported come after the one that
//! imports them, and the last one that says something counts.

use super::settings::{RuntimeSettings, SNAPSHOTTER, defaults};
use super::text::{malformed_toml, read_text};
use crate::access::AccessError;
use crate::access::root::Root;
use crate::discover::parse::flag;
use crate::sample::RuntimeKind;
use crate::time::Span;
use serde::Deserialize;
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

#[derive(Debug, Default, Deserialize)]
struct File {
    root: Option<PathBuf>,
    #[serde(default)]
    imports: Vec<PathBuf>,
    #[serde(default)]
    grpc: Grpc,
    #[serde(default)]
    plugins: Plugins,
}

#[derive(Debug, Default, Deserialize)]
struct Grpc {
    address: Option<PathBuf>,
}

/// The plugin that keeps the images of the CRI, as versions 3, 2 and 1 of the file call it.
#[derive(Debug, Default, Deserialize)]
struct Plugins {
    #[serde(default, rename = "io.containerd.cri.v1.images")]
    images: Images,
    #[serde(default, rename = "io.containerd.grpc.v1.cri")]
    cri: Images,
    #[serde(default, rename = "cri")]
    cri_of_version_1: Images,
}

#[derive(Debug, Default, Deserialize)]
struct Images {
    /// Of any type, so that a release that means something else by it costs no more than this.
    stats_collect_period: Option<toml::Value>,
}

/// containerd `internal/cri/config/config_unix.go`, the same from 1.3 on.
const STATS_PERIOD: Span = Span::from_secs(10);
/// Files in all; each has at most as many bytes as any other of a runtime.
const MAX_FILES: usize = 50;
const MAX_ENTRIES: usize = 1_000;

pub(super) fn read(layer: &Root, argv: &[String], named: Option<&Path>) -> Result<RuntimeSettings, AccessError> {
    let first = named.unwrap_or(Path::new("/etc/containerd/config.toml"));
    let (mut root, mut socket, mut stats_period) = (None, None, None);
    let (mut ahead, mut seen) = (VecDeque::from([first.to_owned()]), BTreeSet::new());
    while let Some(path) = ahead.pop_front() {
        if seen.len() >= MAX_FILES || !seen.insert(path.clone()) {
            continue;
        }
        // containerd does not start without a file that it was told of; one that went later changes nothing now.
        let Some(text) = read_text(layer, &path, named == Some(path.as_path()))? else { continue };
        let file: File = toml::from_str(&text).map_err(|error| malformed_toml(&path, &text, &error))?;
        root = file.root.filter(|path| !path.as_os_str().is_empty()).or(root);
        socket = file.grpc.address.filter(|path| !path.as_os_str().is_empty()).or(socket);
        let Plugins { images, cri, cri_of_version_1 } = file.plugins;
        let told = [images, cri, cri_of_version_1].into_iter().find_map(|images| images.stats_collect_period);
        stats_period =
            told.and_then(|told| told.as_integer()).filter(|seconds| (1..=86_400).contains(seconds)).or(stats_period);
        for import in file.imports {
            ahead.extend(imported(layer, &path, &import));
        }
    }
    let default = defaults(RuntimeKind::Containerd);
    let root = flag(argv, &["root"]).map(PathBuf::from).or(root).unwrap_or(default.root);
    let socket = flag(argv, &["address", "a"]).map(PathBuf::from).or(socket).unwrap_or(default.socket);
    let stats_period = Some(stats_period.map_or(STATS_PERIOD, Span::from_secs));
    Ok(RuntimeSettings { image_store: root.join(SNAPSHOTTER), root, socket, stats_period })
}

/// The files that an import names, in order. Relative ones lie beside the file that names them, and a `*` stands for any text: here
/// only in the last part, where everybody has it.
fn imported(layer: &Root, by: &Path, import: &Path) -> Vec<PathBuf> {
    let path = by.parent().unwrap_or(Path::new("/")).join(import);
    let Some((folder, pattern)) = path.parent().zip(path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    if !pattern.contains('*') {
        return vec![path];
    }
    let names = layer.list(folder, MAX_ENTRIES).unwrap_or_default();
    let fits = |name: &PathBuf| name.to_str().is_some_and(|name| matches(pattern, name));
    names.into_iter().filter(fits).map(|name| folder.join(name)).collect()
}

/// Whether a name fits a pattern in which `*` stands for any text. As in a shell, one that begins with `*` fits a hidden file too:
/// Go's filepath.Glob does not leave them out.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::super::tests::{argv, root};
    use super::*;

    fn told(files: &[(&str, &str)]) -> RuntimeSettings {
        let (_keep, root) = root(files);
        read(&root, RuntimeKind::Containerd, &argv("containerd"), None).unwrap()
    }

    #[test]
    fn imports_come_after_the_file_that_names_them() {
        let found = told(&[
            (
                "etc/containerd/config.toml",
                "version = 3\nroot = \"/first\"\nimports = [\"conf.d/*.toml\", \"/srv/one.toml\"]\n",
            ),
            (
                "etc/containerd/conf.d/50-root.toml",
                "version = 3\nroot = \"/second\"\n[grpc]\naddress = \"/run/second.sock\"\n",
            ),
            ("etc/containerd/conf.d/50-root.toml.old", "version = 3\nroot = \"/old\"\n"),
            // It names the first one again, which ends there.
            ("srv/one.toml", "imports = [\"/etc/containerd/config.toml\"]\n[grpc]\naddress = \"/run/third.sock\"\n"),
        ]);
        assert_eq!(found.root, Path::new("/second"));
        assert_eq!(found.image_store, Path::new("/second/io.containerd.snapshotter.v1.overlayfs"));
        assert_eq!(found.socket, Path::new("/run/third.sock"));
    }

    #[test]
    fn the_period_of_measuring_is_read_from_the_plugin_of_each_version() {
        let period = |text: &str| told(&[("etc/containerd/config.toml", text)]).stats_period.unwrap();
        assert_eq!(
            period("version = 3\n[plugins.'io.containerd.cri.v1.images']\nstats_collect_period = 7\n"),
            Span::from_secs(7)
        );
        assert_eq!(
            period("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nstats_collect_period = 8\n"),
            Span::from_secs(8)
        );
        assert_eq!(period("[plugins.cri]\nstats_collect_period = 9\n"), Span::from_secs(9));
        assert_eq!(period("version = 3\n"), Span::from_secs(10));
        // The runtime plugin of 2.4 means something else by it.
        let other = "version = 4\n[plugins.'io.containerd.cri.v1.runtime']\nstats_collect_period = '1s'\n";
        assert_eq!(period(other), Span::from_secs(10));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.toml.old", false),
            ("5*-a*.toml", "50-abc.toml", true),
            ("5*-a*.toml", "50-b.toml", false),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
