//! Which images does a static pod use that may never be pulled? From the manifests that the kubelet reads.
//!
//! Mirrors `pkg/kubelet/config/file.go`: a file, or the files of a directory whose names do not begin with a dot, each one pod.

use super::file::document;
use crate::access::root::Root;
use crate::untrusted::Label;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Entries in the directory; a node has some five.
const MAX_FILES: usize = 200;
/// A pod has at most the 1 MiB of an object in etcd; all manifests of a node together have less.
const MAX_BYTES: usize = 1 << 20;
const MAX_IMAGES: usize = 1_000;

/// The images that are used with the pull policy Never. A manifest that cannot be read or understood costs itself: what is
/// not found here is not known, and not denied.
pub(super) fn never_pulled(root: &Root, path: &Path) -> Vec<Label> {
    let mut files: Vec<PathBuf> = match root.list(path, MAX_FILES) {
        Ok(names) => names.into_iter().filter(|name| !is_hidden(name)).map(|name| path.join(name)).collect(),
        Err(_) => vec![path.to_owned()],
    };
    files.truncate(MAX_FILES);
    let mut left = MAX_BYTES;
    let mut found = BTreeSet::new();
    for file in files {
        let Ok(content) = root.read_file(&file, left) else { continue };
        left -= content.len();
        if let Ok(pod) = document(&content) {
            found.extend(of_pod(&pod));
        }
    }
    found.into_iter().take(MAX_IMAGES).collect()
}

fn is_hidden(name: &Path) -> bool {
    name.to_string_lossy().starts_with('.')
}

fn of_pod(pod: &Value) -> Vec<Label> {
    let list = |name: &str| pod.pointer(&format!("/spec/{name}")).and_then(Value::as_array).into_iter().flatten();
    let text = |value: &'_ Value, path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let containers = ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(list);
    let of_containers = containers.map(|container| (text(container, "/image"), text(container, "/imagePullPolicy")));
    let of_volumes =
        list("volumes").map(|volume| (text(volume, "/image/reference"), text(volume, "/image/pullPolicy")));
    let never = of_containers.chain(of_volumes).filter(|(_, policy)| policy.as_deref() == Some("Never"));
    never.filter_map(|(image, _)| image).filter(|image| !image.is_empty()).map(Label::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    const LOADED: &str = "apiVersion: v1\nkind: Pod\nspec:\n  initContainers:\n  - {image: a:1, imagePullPolicy: Never}\n  containers:\n  \
                          - {image: b:1, imagePullPolicy: IfNotPresent}\n  - {image: c:1}\n  volumes:\n  - name: v\n    image: {reference: \
                          d:1, pullPolicy: Never}\n  - {name: w, emptyDir: {}}\n";

    fn root(files: &[(&str, &str)]) -> (TempDir, Root) {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("manifests")).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join("manifests").join(name), text).unwrap();
        }
        let root = Root::open(dir.path()).unwrap();
        (dir, root)
    }

    #[test]
    fn containers_and_volumes_of_every_manifest_are_looked_at() {
        let json = r#"{"kind": "Pod", "spec": {"containers": [{"image": "e:1", "imagePullPolicy": "Never"}]}}"#;
        let hidden = LOADED.replace("a:1", "z:1");
        let (_keep, root) = root(&[("pod.yaml", LOADED), ("pod.json", json), (".hidden", &hidden)]);
        assert_eq!(never_pulled(&root, Path::new("/manifests")), ["a:1".into(), "d:1".into(), "e:1".into()]);
        assert_eq!(never_pulled(&root, Path::new("/manifests/pod.json")), ["e:1".into()]);
    }

    #[test]
    fn what_is_no_pod_costs_itself_only() {
        let broken = "spec: {containers: {image: x}, volumes: [1, {image: y}]}";
        let (keep, root) = root(&[("a", broken), ("b", "{"), ("c", ""), ("d", LOADED)]);
        nix::unistd::mkfifo(&keep.path().join("manifests/e"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::File::create(keep.path().join("manifests/0")).unwrap().set_len(10 << 30).unwrap();
        assert_eq!(never_pulled(&root, Path::new("/manifests")), ["a:1".into(), "d:1".into()]);
        assert_eq!(never_pulled(&root, Path::new("/nowhere")), []);
    }
}
