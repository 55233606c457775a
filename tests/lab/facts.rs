//! The truth about the lab, as its `facts.json` tells it.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Deserialize)]
pub(crate) struct Facts {
    pub(crate) lab_dir: PathBuf,
    /// `real` or `imitation`.
    pub(crate) kubelets: String,
    pub(crate) disk: Disk,
    pub(crate) layers: Vec<Layer>,
    pub(crate) decoys: Vec<Decoy>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Disk {
    #[serde(rename = "loop")]
    pub(crate) device: String,
    pub(crate) mountpoint: PathBuf,
    pub(crate) device_number: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Decoy {
    pub(crate) what: String,
    pub(crate) pid: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Layer {
    /// Short: `host`, `dind`, or the node's.
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) parent: Option<String>,
    pub(crate) runtime: Option<Process>,
    pub(crate) kubelet: Option<Process>,
    pub(crate) container_id: Option<String>,
    pub(crate) image_store: Place,
    pub(crate) runtime_root: Place,
    pub(crate) docker_data_root: Option<Place>,
    pub(crate) kubelet_root: Option<Place>,
    pub(crate) policy: Option<Policy>,
    pub(crate) pod: Option<Pod>,
    pub(crate) test_cluster: Option<String>,
    pub(crate) node_role: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Process {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) pid: u32,
    /// Seconds since the epoch.
    pub(crate) start_time: f64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    pub(crate) in_layer: String,
    pub(crate) on_machine: PathBuf,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    pub(crate) image_gc: ImageGc,
    pub(crate) eviction_hard: Eviction,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ImageGc {
    pub(crate) enabled: bool,
    pub(crate) high: i64,
    pub(crate) high_origin: String,
    pub(crate) low: i64,
    pub(crate) low_origin: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Eviction {
    /// Signal to threshold, as it was written: `15%`.
    pub(crate) thresholds: BTreeMap<String, String>,
    pub(crate) origin: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
}

impl Facts {
    /// The layer of that short name.
    pub(crate) fn layer(&self, name: &str) -> &Layer {
        self.layers.iter().find(|layer| layer.name == name).expect("the lab has a layer of that name")
    }

    /// What the lab says of the pod that all of Docker is in.
    pub(crate) fn pod(&self) -> &Pod {
        self.layer("dind").pod.as_ref().expect("Docker runs in a pod")
    }

    /// The node containers.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(|layer| layer.kind.ends_with("_node"))
    }
}
