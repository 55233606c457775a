//! What was containerd told? Its file, and those that it imports, of configuration version 1 to 4.
//!
//! Mirrors containerd `cmd/containerd/server/config/config.go` LoadConfig: the files that are imported come after the one that
//! imports them, each has a version of its own, and the last one that says something counts.

use super::settings::{DEFAULT_SNAPSHOTTER, RuntimeSettings, SNAPSHOTTER, defaults, snapshotter};
use super::text::{malformed_toml, read_text};
use crate::access::AccessError;
use crate::access::root::Root;
use crate::discover::parse::flag;
use crate::sample::RuntimeKind;
use crate::time::Span;
use crate::untrusted::Label;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// One file. Plugins are of any form, so that a release that means something else by a key costs no more than that key.
#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(default)]
    version: i64,
    root: Option<PathBuf>,
    #[serde(default)]
    imports: Vec<PathBuf>,
    #[serde(default)]
    grpc: Table,
    #[serde(default)]
    plugins: Table,
    #[serde(default)]
    proxy_plugins: Table,
}

/// What the files say so far.
#[derive(Debug, Default)]
struct Told {
    root: Option<PathBuf>,
    socket: Option<PathBuf>,
    snapshotter: Option<String>,
    /// Where a snapshotter keeps its files, by its name.
    folders: BTreeMap<String, PathBuf>,
    stats_period: Option<i64>,
    sandbox_image: Option<String>,
}

/// containerd `internal/cri/config/config_unix.go`, the same from 1.3 on.
const STATS_PERIOD: Span = Span::from_secs(10);
/// Files in all; each has at most as many bytes as any other of a runtime.
const MAX_FILES: usize = 50;
const MAX_ENTRIES: usize = 1_000;

pub(super) fn read(layer: &Root, argv: &[String], named: Option<&Path>) -> Result<RuntimeSettings, AccessError> {
    let first = named.unwrap_or(Path::new("/etc/containerd/config.toml"));
    let mut told = Told::default();
    let (mut ahead, mut seen) = (VecDeque::from([first.to_owned()]), BTreeSet::new());
    while let Some(path) = ahead.pop_front() {
        if seen.len() >= MAX_FILES || !seen.insert(path.clone()) {
            continue;
        }
        // containerd does not start without a file that it was told of; one that went later changes nothing now.
        let Some(text) = read_text(layer, &path, named == Some(path.as_path()))? else { continue };
        let file: File = toml::from_str(&text).map_err(|error| malformed_toml(&path, &text, &error))?;
        for import in &file.imports {
            ahead.extend(imported(layer, &path, import));
        }
        told.take(file);
    }
    let default = defaults(RuntimeKind::Containerd);
    let root = flag(argv, &["root"]).map(PathBuf::from).or(told.root).unwrap_or(default.root);
    let socket = flag(argv, &["address", "a"]).map(PathBuf::from).or(told.socket).unwrap_or(default.socket);
    let name = told.snapshotter.as_deref().unwrap_or(DEFAULT_SNAPSHOTTER);
    let image_store = told.folders.remove(name).unwrap_or_else(|| snapshotter(&root, Some(name)));
    let stats_period = Some(told.stats_period.map_or(STATS_PERIOD, Span::from_secs));
    let sandbox_image = told.sandbox_image.map(Label::from);
    Ok(RuntimeSettings { root, image_store, socket, stats_period, sandbox_image, ..RuntimeSettings::default() })
}

impl Told {
    /// Takes what one file says, in the places where its version has it.
    fn take(&mut self, file: File) {
        let File { version, root, grpc, plugins, proxy_plugins, .. } = file;
        let of_plugins = |path: &[&str]| find(&plugins, path);
        self.root = root.filter(|path| !path.as_os_str().is_empty()).or(self.root.take());
        // Version 4 no longer looks at [grpc].
        let address = match version {
            ..=3 => text(find(&grpc, &["address"])),
            _ => text(of_plugins(&["io.containerd.server.v1.grpc", "address"])),
        };
        self.socket = address.map(PathBuf::from).or(self.socket.take());
        let (snapshotter, images, sandbox): (&[&str], &str, &[&str]) = match version {
            ..=1 => (&["cri", "containerd", "snapshotter"], "cri", &["cri", "sandbox_image"]),
            2 => (
                &["io.containerd.grpc.v1.cri", "containerd", "snapshotter"],
                "io.containerd.grpc.v1.cri",
                &["io.containerd.grpc.v1.cri", "sandbox_image"],
            ),
            _ => (
                &["io.containerd.cri.v1.images", "snapshotter"],
                "io.containerd.cri.v1.images",
                &["io.containerd.cri.v1.images", "pinned_images", "sandbox"],
            ),
        };
        self.snapshotter = text(of_plugins(snapshotter)).or(self.snapshotter.take());
        self.sandbox_image = text(of_plugins(sandbox)).or(self.sandbox_image.take());
        let period = of_plugins(&[images, "stats_collect_period"]).and_then(Value::as_integer);
        self.stats_period = period.filter(|seconds| (1..=86_400).contains(seconds)).or(self.stats_period);
        for (plugin, settings) in &plugins {
            let name = if version <= 1 { Some(plugin.as_str()) } else { plugin.strip_prefix(SNAPSHOTTER) };
            if let (Some(name), Some(folder)) = (name, text(settings.get("root_path"))) {
                self.folders.insert(name.to_owned(), folder.into());
            }
        }
        for (name, settings) in &proxy_plugins {
            let exported = settings.get("exports").and_then(|exports| text(exports.get("root")));
            if let Some(folder) = exported {
                self.folders.insert(name.clone(), folder.into());
            }
        }
    }
}

fn find<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(*key))
}

/// A text that says something.
fn text(value: Option<&Value>) -> Option<String> {
    value?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
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
    use super::super::tests::{argv, root};
    use super::super::{Environment, read};
    use super::*;

    fn told(files: &[(&str, &str)]) -> RuntimeSettings {
        let (_keep, root) = root(files);
        read(&root, RuntimeKind::Containerd, &argv("containerd"), None, &Environment::new()).unwrap()
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
    fn the_socket_is_read_where_the_version_of_the_file_has_it() {
        let socket = |text: &str| told(&[("etc/containerd/config.toml", text)]).socket.display().to_string();
        assert_eq!(socket("version = 3\n[grpc]\naddress = '/run/a.sock'\n"), "/run/a.sock");
        let four = "version = 4\n[grpc]\naddress = '/run/old.sock'\n[plugins.'io.containerd.server.v1.grpc']\naddress = '/run/b.sock'\n";
        assert_eq!(socket(four), "/run/b.sock");
        assert_eq!(socket("version = 4\n[grpc]\naddress = '/run/old.sock'\n"), "/run/containerd/containerd.sock");
        let imported = told(&[
            ("etc/containerd/config.toml", "version = 4\nimports = ['old.toml']\n"),
            ("etc/containerd/old.toml", "version = 2\n[grpc]\naddress = '/run/c.sock'\n"),
        ]);
        assert_eq!(imported.socket, Path::new("/run/c.sock"), "an imported file has a version of its own");
    }

    #[test]
    fn images_lie_where_the_snapshotter_of_the_cri_keeps_them() {
        let images = |text: &str| told(&[("etc/containerd/config.toml", text)]).image_store.display().to_string();
        let below = |name: &str| format!("/var/lib/containerd/io.containerd.snapshotter.v1.{name}");
        assert_eq!(
            images("version = 3\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'native'\n"),
            below("native")
        );
        assert_eq!(
            images("version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\nsnapshotter = 'btrfs'\n"),
            below("btrfs")
        );
        assert_eq!(images("[plugins.cri.containerd]\nsnapshotter = 'zfs'\n"), below("zfs"));
        let placed = "version = 2\n[plugins.'io.containerd.snapshotter.v1.overlayfs']\nroot_path = '/srv/snapshots'\n";
        assert_eq!(images(placed), "/srv/snapshots");
        let proxy = "version = 3\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'soci'\n[proxy_plugins.soci]\n\
                     type = 'snapshot'\n[proxy_plugins.soci.exports]\nroot = '/var/lib/soci-snapshotter-grpc'\n";
        assert_eq!(images(proxy), "/var/lib/soci-snapshotter-grpc");
        let mute = "version = 3\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'nydus'\n[proxy_plugins.nydus]\ntype = 'snapshot'\n";
        assert_eq!(images(mute), below("nydus"));
    }

    #[test]
    fn the_sandbox_image_is_read_in_the_form_of_each_version() {
        let sandbox = |text: &str| told(&[("etc/containerd/config.toml", text)]).sandbox_image;
        let three =
            "version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'example.com/pause:3'\n";
        assert_eq!(sandbox(three), Some("example.com/pause:3".into()));
        let two = "version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'example.com/pause:2'\n";
        assert_eq!(sandbox(two), Some("example.com/pause:2".into()));
        assert_eq!(
            sandbox("[plugins.cri]\nsandbox_image = 'example.com/pause:1'\n"),
            Some("example.com/pause:1".into())
        );
        assert_eq!(sandbox("version = 3\n"), None);
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
