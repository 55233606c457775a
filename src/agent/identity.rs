//! What is a layer called, and of what kind is it? Pure: from what the runtimes around it and its own files say.

use crate::discover::parse::flag;
use crate::discover::{ContainerRef, FoundLayer, LayerKey};
use crate::layer::{LayerId, LayerKind};
use crate::sample::{LayerOrigin, RuntimeKind};
use crate::untrusted::Label;
use std::collections::BTreeMap;

/// What a runtime says of one container that it made, by the id of the container or of its pod's sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerName {
    /// Namespace and name of a pod, or the name of a Docker container.
    pub parts: Vec<Label>,
    /// What its labels say.
    pub origin: LayerOrigin,
    /// Whether k3d made it.
    pub k3d: bool,
}

/// Files in a node container that tell who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Evidence {
    /// `/run/kubeadm` or `/run/cluster-api`: Cluster API's bootstrap.
    pub capd: bool,
    /// `/kind/kubeadm.conf`: written by kind.
    pub kind: bool,
    /// `/var/lib/rancher/k3s`.
    pub k3s: bool,
}

/// A layer's name, kind and origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its name, unique among the layers.
    pub id: LayerId,
    /// Its kind.
    pub kind: LayerKind,
    /// Its origin; what is unknown here is taken from the layer around it.
    pub origin: LayerOrigin,
}

/// Names every layer. `layers` has parents before children. `name_of` looks a container up in what the parent's runtime said.
pub(super) fn identify(
    layers: &[FoundLayer],
    name_of: impl Fn(LayerKey, &ContainerRef) -> Option<ContainerName>,
    evidence_of: impl Fn(LayerKey) -> Evidence,
) -> BTreeMap<LayerKey, Identity> {
    let mut identities: BTreeMap<LayerKey, Identity> = BTreeMap::new();
    for layer in layers {
        let around = layer.parent.and_then(|parent| identities.get(&parent));
        let name = match (&layer.container, layer.parent) {
            (Some(container), Some(parent)) => name_of(parent, container),
            _ => None,
        };
        let wanted = match (&layer.container, around) {
            (Some(container), Some(around)) => {
                let parts: Vec<&str> = name
                    .as_ref()
                    .map_or_else(|| vec![short(&container.id)], |n| n.parts.iter().map(Label::as_str).collect());
                around.id.child(&parts)
            }
            (Some(container), None) => LayerId::host().child(&[&container.id]),
            (None, _) => LayerId::host(),
        };
        let origin = origin(layer, around, name.as_ref());
        let kind = kind(layer, name.as_ref(), evidence_of(layer.key));
        let id = unique(wanted, layer.runtime, &identities);
        identities.insert(layer.key, Identity { id, kind, origin });
    }
    identities
}

/// Of an id in hexadecimal digits the first twelve, as docker ps and crictl ps print it. Whatever else tells a container from others
/// stays whole: of `pid:[4026532271]` the last digits matter.
fn short(id: &str) -> &str {
    let is_hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    id.get(..12).filter(|_| is_hex).unwrap_or(id)
}

/// A second runtime on the machine is `host:docker`; any other clash gets a number.
fn unique(wanted: LayerId, runtime: Option<RuntimeKind>, taken: &BTreeMap<LayerKey, Identity>) -> LayerId {
    let is_free = |id: &LayerId| !taken.values().any(|identity| identity.id == *id);
    if is_free(&wanted) {
        return wanted;
    }
    let name = runtime.map_or("none", RuntimeKind::as_str);
    let mut number = 1_usize;
    loop {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let id = LayerId::from(format!("{wanted}:{name}{suffix}"));
        if is_free(&id) {
            return id;
        }
        number += 1;
    }
}

fn origin(layer: &FoundLayer, around: Option<&Identity>, name: Option<&ContainerName>) -> LayerOrigin {
    let outer = around.map(|identity| identity.origin.clone()).unwrap_or_default();
    let own = name.map(|name| name.origin.clone()).unwrap_or_default();
    LayerOrigin {
        pod_namespace: own.pod_namespace.or(outer.pod_namespace),
        pod: own.pod.or(outer.pod),
        prow_job: own.prow_job.or(outer.prow_job),
        prow_build_id: own.prow_build_id.or(outer.prow_build_id),
        test_cluster: own.test_cluster.or(outer.test_cluster),
        // The role is of the node itself, not of what runs in it.
        node_role: own.node_role,
        container: layer.container.as_ref().map(|container| Label::new(&container.id)),
    }
}

/// kind and CAPD nodes carry the same labels; what bootstrapped them differs. In doubt it is a node container.
fn kind(layer: &FoundLayer, name: Option<&ContainerName>, evidence: Evidence) -> LayerKind {
    if layer.container.is_none() {
        return LayerKind::Host;
    }
    if layer.runtime == Some(RuntimeKind::Docker) {
        return LayerKind::Dind;
    }
    let k3d = evidence.k3s && name.is_some_and(|name| name.k3d);
    let labelled = name.is_some_and(|name| name.origin.test_cluster.is_some());
    let capd = evidence.capd || (labelled && !k3d && has_capd_flags(layer));
    match (capd, evidence.kind, k3d) {
        (true, false, false) => LayerKind::CapdNode,
        (false, true, false) => LayerKind::KindNode,
        (false, false, true) => LayerKind::K3dNode,
        _ => LayerKind::NodeContainer,
    }
}

/// What Cluster API's bootstrap leaves below /run is gone after a restart of the container. What remains is that it sets
/// thresholds by flags, where kind writes them into the settings file.
fn has_capd_flags(layer: &FoundLayer) -> bool {
    layer
        .kubelet
        .as_ref()
        .is_some_and(|kubelet| flag(&kubelet.argv, &["image-gc-high-threshold", "eviction-hard"]).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(pid: u32, parent: Option<u32>, runtime: RuntimeKind, container: Option<&str>) -> FoundLayer {
        let key = |pid| LayerKey { pid, start_ticks: 0 };
        FoundLayer {
            key: key(pid),
            parent: parent.map(key),
            runtime: Some(runtime),
            container: container.map(|id| ContainerRef {
                id: id.to_owned(),
                sandbox: id.to_owned(),
                namespace: String::new(),
                address: String::new(),
                shim_pid: 1,
                init_pid: pid,
            }),
            kubelet: None,
            containerd: None,
        }
    }

    fn pod() -> ContainerName {
        ContainerName {
            parts: vec!["test-pods".into(), "ci-e2e".into()],
            origin: LayerOrigin {
                pod_namespace: Some("test-pods".into()),
                pod: Some("ci-e2e".into()),
                prow_job: Some("periodic".into()),
                ..LayerOrigin::default()
            },
            k3d: false,
        }
    }

    #[test]
    fn a_node_carries_the_pod_around_it_and_its_own_role() {
        let layers = [
            layer(1, None, RuntimeKind::Containerd, None),
            layer(2, Some(1), RuntimeKind::Docker, Some("aaa")),
            layer(3, Some(2), RuntimeKind::Containerd, Some("bbb")),
        ];
        let node = ContainerName {
            parts: vec!["capd-worker".into()],
            origin: LayerOrigin { node_role: Some("worker".into()), ..LayerOrigin::default() },
            k3d: false,
        };
        let found = identify(
            &layers,
            |_, container| Some(if container.id == "aaa" { pod() } else { node.clone() }),
            |key| Evidence { capd: key.pid == 3, ..Evidence::default() },
        );
        let inner = &found[&LayerKey { pid: 3, start_ticks: 0 }];
        assert_eq!(inner.id.as_str(), "host/test-pods/ci-e2e/capd-worker");
        assert_eq!(inner.kind, LayerKind::CapdNode);
        assert_eq!(inner.origin.prow_job, Some("periodic".into()));
        assert_eq!(inner.origin.node_role, Some("worker".into()));
        assert_eq!(found[&LayerKey { pid: 2, start_ticks: 0 }].kind, LayerKind::Dind);
    }

    #[test]
    fn without_a_name_the_id_is_one_shortened_where_that_is_usual() {
        let id = "9b2f1c7d4e5a60718293a4b5c6d7e8f90112233445566778899aabbccddeeff0";
        let namespaces = ["pid:[4026532271]", "pid:[4026532272]"];
        let layers = [
            layer(1, None, RuntimeKind::Containerd, None),
            layer(2, Some(1), RuntimeKind::Containerd, Some(id)),
            layer(3, Some(1), RuntimeKind::Containerd, Some(namespaces[0])),
            layer(4, Some(1), RuntimeKind::Containerd, Some(namespaces[1])),
        ];
        let found = identify(&layers, |_, _| None, |_| Evidence::default());
        let names: Vec<&str> = found.values().map(|identity| identity.id.as_str()).collect();
        assert_eq!(names, ["host", "host/9b2f1c7d4e5a", "host/pid:[4026532271]", "host/pid:[4026532272]"]);
    }

    #[test]
    fn contradicting_evidence_makes_a_node_container() {
        let layers = [layer(1, None, RuntimeKind::Docker, None), layer(2, Some(1), RuntimeKind::Containerd, Some("c"))];
        for (capd, kind, expected) in [
            (true, false, LayerKind::CapdNode),
            (false, true, LayerKind::KindNode),
            (true, true, LayerKind::NodeContainer),
            (false, false, LayerKind::NodeContainer),
        ] {
            let found = identify(&layers, |_, _| None, |_| Evidence { capd, kind, k3s: false });
            assert_eq!(found[&LayerKey { pid: 2, start_ticks: 0 }].kind, expected);
        }
    }

    #[test]
    fn a_restarted_capd_node_is_known_by_its_flags_and_labels() {
        let mut node = layer(2, Some(1), RuntimeKind::Containerd, Some("c"));
        node.kubelet = Some(crate::discover::FoundKubelet {
            pid: 9,
            start_ticks: 0,
            argv: vec!["kubelet".to_owned(), "--image-gc-high-threshold=100".to_owned()],
            carrier: crate::discover::Carrier::Kubelet,
        });
        let layers = [layer(1, None, RuntimeKind::Docker, None), node];
        let labelled = ContainerName {
            parts: vec!["worker".into()],
            origin: LayerOrigin { test_cluster: Some("c1".into()), ..LayerOrigin::default() },
            k3d: false,
        };
        let kind_of = |name: Option<ContainerName>, evidence: Evidence| {
            identify(&layers, |_, _| name.clone(), |_| evidence)[&LayerKey { pid: 2, start_ticks: 0 }].kind
        };
        assert_eq!(kind_of(Some(labelled.clone()), Evidence::default()), LayerKind::CapdNode);
        assert_eq!(kind_of(None, Evidence::default()), LayerKind::NodeContainer);
        let by_kind = Evidence { kind: true, ..Evidence::default() };
        assert_eq!(kind_of(Some(labelled), by_kind), LayerKind::NodeContainer, "a kind node with flags is in doubt");
    }

    #[test]
    fn names_are_unique_and_fall_back_to_the_container_id() {
        let layers = [
            layer(1, None, RuntimeKind::Containerd, None),
            layer(2, None, RuntimeKind::Docker, None),
            layer(3, Some(1), RuntimeKind::Docker, Some("0123456789abcdef")),
            layer(4, Some(1), RuntimeKind::Containerd, Some("0123456789abcdef")),
        ];
        let found = identify(&layers, |_, _| None, |_| Evidence::default());
        let ids: Vec<&str> = found.values().map(|identity| identity.id.as_str()).collect();
        assert_eq!(ids, ["host", "host:docker", "host/0123456789ab", "host/0123456789ab:containerd"]);
    }
}
