//! Which lost image cannot come back, and whose loss stops a node? Guesses from names and users, each with its reason.
//!
//! Nothing here asks a registry.

use crate::sample::{Image, ImageId, ImageStore};
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Whether a deleted image can be pulled again, as far as its names tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recoverable {
    /// It has a digest of a registry and an ordinary name.
    Yes,
    /// It was loaded by hand, or its name belongs to no registry.
    No,
    /// It cannot be told.
    Unknown,
}

/// Why the loss of an image is worse than a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Critical {
    /// The sandbox of every pod.
    Sandbox,
    /// A pod from a file on the node uses it.
    StaticPod,
    /// A pod of kube-system uses it.
    KubeSystem,
    /// It matches a pattern of the configuration.
    Pattern,
}

/// Whether an image can be pulled again.
///
/// `No`: no tag and digest but local ones, that is no digest of a registry, a tag that builds use (`:dev`), or a host
/// that is no registry (`localhost/`, `kind.local/`, a name without a host). `Unknown`: a registry on this machine with
/// a port, or names that contradict each other.
pub fn recoverable(image: &Image) -> Recoverable {
    let digest = image.digests.iter().map(|name| origin(name.as_str())).max().unwrap_or(Origin::Nowhere);
    let tag = image.tags.iter().map(|name| origin(name.as_str())).max();
    match (digest, tag) {
        (Origin::Nowhere, _) | (_, Some(Origin::Nowhere)) => Recoverable::No,
        (Origin::Registry, None | Some(Origin::Registry)) => Recoverable::Yes,
        _ => Recoverable::Unknown,
    }
}

/// The images that somebody uses with a pull policy of Never: once gone, they stay so.
#[derive(Debug, Clone, Default)]
pub struct NeverPulled(HashSet<String>);

impl NeverPulled {
    /// From the names in pods, with or without a host or a tag.
    pub fn of(names: &[Label]) -> Self {
        Self(names.iter().map(|name| full_name(name.as_str())).collect())
    }

    /// Whether one of these names is the image's.
    pub fn has(&self, image: &Image) -> bool {
        let names = image.tags.iter().chain(&image.digests).map(Label::as_str);
        !self.0.is_empty() && names.chain([image.id.as_str()]).any(|name| self.0.contains(&full_name(name)))
    }
}

/// Whether a name, with or without a host or a tag, is the image's.
pub fn is_named(image: &Image, name: &Label) -> bool {
    NeverPulled::of(std::slice::from_ref(name)).has(image)
}

/// A name with the host, folder and tag that are added where they are not said (distribution `reference/normalize.go`).
fn full_name(name: &str) -> String {
    if name.starts_with("sha256:") {
        return name.to_owned();
    }
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => ("docker.io", name),
    };
    let folder = if host == "docker.io" && !path.contains('/') { "library/" } else { "" };
    let last = path.rsplit('/').next().unwrap_or(path);
    let tag = if last.contains([':', '@']) { "" } else { ":latest" };
    format!("{host}/{folder}{path}{tag}")
}

/// Where a name says that an image comes from, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    /// From no registry.
    Nowhere,
    /// From something on this machine that may be a registry.
    Local,
    /// From a registry.
    Registry,
}

fn origin(name: &str) -> Origin {
    let (name, digest) = name.split_once('@').map_or((name, false), |(name, _)| (name, true));
    let Some((host, path)) = name.split_once('/') else { return Origin::Nowhere };
    let (repository, tag) = match path.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (path, None),
    };
    // The name that `ctr images import --digests` makes up, and with it every image that kind loads.
    let made_up = digest && repository.rsplit('/').next().is_some_and(|last| last.starts_with("import-"));
    let built_here = tag.is_some_and(|tag| tag == "dev" || tag.ends_with("-dev") || tag.ends_with("-dirty"));
    let name_of_host = host.split(':').next().unwrap_or(host);
    let is_host = host.contains('.') || host.contains(':') || host == "localhost";
    match name_of_host {
        _ if made_up || built_here || !is_host => Origin::Nowhere,
        "localhost" | "127.0.0.1" if host.contains(':') => Origin::Local,
        "localhost" | "kind.local" | "ko.local" | "dev.local" => Origin::Nowhere,
        _ => Origin::Registry,
    }
}

/// The images of pods' sandboxes: those of the name that the runtime tells. Where it tells none they are guessed by their names: the
/// last part of the repository is `pause` or `pause-ARCH`, or `mirrored-pause`.
pub fn sandbox_images(store: &ImageStore) -> impl Iterator<Item = &Image> {
    let told = store.sandbox_image.as_ref().map(|name| NeverPulled::of(std::slice::from_ref(name)));
    store.images.iter().filter(move |image| told.as_ref().map_or_else(|| is_named_pause(image), |told| told.has(image)))
}

fn is_named_pause(image: &Image) -> bool {
    let is_pause = |name: &str| {
        let name = name.split('@').next().unwrap_or(name);
        let last = name.rsplit('/').next().unwrap_or(name);
        let last = last.split(':').next().unwrap_or(last);
        last == "pause" || last.starts_with("pause-") || last == "mirrored-pause"
    };
    image.tags.iter().chain(&image.digests).any(|name| is_pause(name.as_str()))
}

/// The images whose loss is critical, each with the first reason that applies. `patterns` are matched against every
/// tag; `*` stands for anything.
pub fn critical<'a>(store: &'a ImageStore, patterns: &[String]) -> HashMap<&'a ImageId, Critical> {
    let of = |wanted: fn(&crate::sample::Pod) -> bool| -> HashSet<&str> {
        store.pods.iter().filter(|pod| wanted(pod)).map(|pod| pod.id.as_str()).collect()
    };
    let (on_node, in_system) = (of(|pod| pod.is_static), of(|pod| pod.namespace.as_str() == "kube-system"));
    let mut found = HashMap::new();
    for image in sandbox_images(store) {
        found.insert(&image.id, Critical::Sandbox);
    }
    for (pods, reason) in [(on_node, Critical::StaticPod), (in_system, Critical::KubeSystem)] {
        for container in store.containers.iter().filter(|container| pods.contains(container.pod.as_str())) {
            for id in container.image_id.iter().chain(&container.image_ref).chain(&container.image_volumes) {
                found.entry(id).or_insert(reason);
            }
        }
    }
    for image in &store.images {
        if image.tags.iter().any(|tag| patterns.iter().any(|pattern| matches(pattern, tag))) {
            found.entry(&image.id).or_insert(Critical::Pattern);
        }
    }
    found
}

/// `*` stands for any text, also none; every other character for itself. Takes time in proportion to both lengths.
fn matches(pattern: &str, name: &Label) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.as_str().strip_prefix(first)) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part).and_then(|at| rest.get(at + part.len()..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Container, ContainerState, Pod};
    use crate::units::Bytes;

    const DIGEST: &str = "@sha256:0123456789abcdef";

    fn image(id: &str, tags: &[&str], digests: &[&str]) -> Image {
        Image {
            id: id.into(),
            tags: tags.iter().map(|tag| Label::new(tag)).collect(),
            digests: digests.iter().map(|name| Label::from(format!("{name}{DIGEST}"))).collect(),
            size: Some(Bytes::new(1)),
            pinned: false,
            layers: None,
        }
    }

    #[test]
    fn names_tell_whether_an_image_can_come_back() {
        let cases: [(&[&str], &[&str], Recoverable); 14] = [
            (&["registry.k8s.io/pause:3.10"], &["registry.k8s.io/pause"], Recoverable::Yes),
            (&[], &["registry.k8s.io/kube-proxy"], Recoverable::Yes),
            (&["docker.io/library/busybox:1.36"], &["docker.io/library/busybox"], Recoverable::Yes),
            (&["example.com:5000/a/b:1"], &["example.com:5000/a/b"], Recoverable::Yes),
            // Loaded: no digest at all, or the made-up name.
            (&["gcr.io/k8s-staging/controller-amd64:v1"], &[], Recoverable::No),
            (&["docker.io/library/app:1"], &["docker.io/library/import-2025-02-11"], Recoverable::No),
            (&["gcr.io/k8s-staging/controller-amd64:dev"], &["gcr.io/k8s-staging/controller-amd64"], Recoverable::No),
            (&["localhost/app:1"], &["localhost/app"], Recoverable::No),
            (&["kind.local/app:1"], &["kind.local/app"], Recoverable::No),
            (&["app:1"], &["app"], Recoverable::No),
            (&["team/app:1"], &["team/app"], Recoverable::No),
            (&[], &[], Recoverable::No),
            // A registry on this machine may still be there.
            (&["localhost:5000/app:1"], &["localhost:5000/app"], Recoverable::Unknown),
            (&["localhost:5000/app:1"], &["quay.io/app"], Recoverable::Unknown),
        ];
        for (tags, digests, expected) in cases {
            assert_eq!(recoverable(&image("a", tags, digests)), expected, "{tags:?} {digests:?}");
        }
    }

    #[test]
    fn names_in_pods_are_those_of_images_when_they_are_written_out() {
        let cases = [
            ("busybox", "docker.io/library/busybox:latest", true),
            ("busybox:1", "docker.io/library/busybox:1", true),
            ("team/app", "docker.io/team/app:latest", true),
            ("localhost/app:1", "localhost/app:1", true),
            ("example.com:5000/a/b", "example.com:5000/a/b:latest", true),
            ("busybox:1", "docker.io/library/busybox:2", false),
            ("app", "example.com/app:latest", false),
        ];
        for (named, tag, expected) in cases {
            assert_eq!(NeverPulled::of(&[named.into()]).has(&image("a", &[tag], &[])), expected, "{named} {tag}");
        }
        let by_digest = Label::from(format!("quay.io/app{DIGEST}"));
        assert!(NeverPulled::of(&[by_digest]).has(&image("a", &[], &["quay.io/app"])));
        assert!(NeverPulled::of(&["sha256:0".into()]).has(&image("sha256:0", &[], &[])));
        assert!(!NeverPulled::default().has(&image("a", &["b"], &[])));
    }

    #[test]
    fn the_sandbox_image_is_known_by_its_name() {
        for tag in ["registry.k8s.io/pause:3.10", "docker.io/rancher/mirrored-pause:3.6", "k8s.gcr.io/pause-amd64:3.1"]
        {
            assert!(is_named_pause(&image("a", &[tag], &[])), "{tag}");
        }
        assert!(!is_named_pause(&image("a", &["example.com/pauser:1", "example.com/pause/app:1"], &[])));
    }

    #[test]
    fn the_sandbox_image_that_the_runtime_tells_is_not_guessed() {
        let mut store = ImageStore {
            images: vec![
                image("a", &["registry.k8s.io/pause:3.10"], &[]),
                image("b", &["docker.io/library/box:1"], &[]),
                image("c", &["example.com/sandbox:2"], &[]),
            ],
            ..ImageStore::default()
        };
        let mut found = |told: Option<&str>| {
            store.sandbox_image = told.map(Label::new);
            sandbox_images(&store).map(|image| image.id.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found(None), ["a"]);
        assert_eq!(found(Some("box:1")), ["b"], "written out as a registry would");
        assert_eq!(found(Some("example.com/sandbox:2")), ["c"]);
        assert_eq!(found(Some("example.com/sandbox:3")), [""; 0], "it is not there");
    }

    #[test]
    fn what_the_node_itself_runs_on_is_critical() {
        let pod = |id: &str, namespace: &str, is_static| Pod {
            id: id.into(),
            uid: id.into(),
            namespace: namespace.into(),
            name: id.into(),
            ready: Some(true),
            is_static,
        };
        let container = |pod: &str, id: &str| Container {
            id: id.into(),
            pod: pod.into(),
            name: "main".into(),
            state: ContainerState::Running,
            image_id: Some(id.into()),
            image_ref: None,
            image_volumes: Vec::new(),
        };
        let store = ImageStore {
            images: vec![
                image("pause", &["registry.k8s.io/pause:3.10"], &[]),
                image("etcd", &[], &[]),
                image("dns", &[], &[]),
                image("app", &["gcr.io/k8s-staging/core:dev"], &[]),
                image("other", &["gcr.io/k8s-staging/other:1"], &[]),
            ],
            pods: vec![pod("1", "kube-system", true), pod("2", "kube-system", false), pod("3", "default", false)],
            containers: vec![container("1", "etcd"), container("2", "dns"), container("3", "other")],
            complete: true,
            ..ImageStore::default()
        };
        let found = critical(&store, &["gcr.io/*:dev".to_owned()]);
        let reason = |id: &str| found.get(&ImageId::from(id)).copied();
        assert_eq!(reason("pause"), Some(Critical::Sandbox));
        assert_eq!(reason("etcd"), Some(Critical::StaticPod));
        assert_eq!(reason("dns"), Some(Critical::KubeSystem));
        assert_eq!(reason("app"), Some(Critical::Pattern));
        assert_eq!(reason("other"), None);
    }

    #[test]
    fn a_star_stands_for_anything() {
        let cases = [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "acb", false),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a**b*", "axxb", true),
            ("*aa*a", "aa", false),
            ("*aa*a", "aaa", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, &Label::new(name)), expected, "{pattern} {name}");
        }
    }
}
