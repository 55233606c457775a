//! Are all layers found, each in its place and by its name, and nothing else?

use crate::agent::Agent;
use crate::facts::{Facts, Layer};
use crate::lab::Lab;
use crate::snapshot::{self, Snapshot};
use crate::wait::now;
use std::collections::BTreeSet;

/// The snapshot shows every layer of the lab that runs, and no other. Runtimes are asked for names after the first round, so
/// there may be rounds in which this is not so yet.
pub(crate) fn shows_all(snapshot: &Snapshot, facts: &Facts) -> Result<(), String> {
    let found: Vec<&str> = snapshot.layers.iter().map(|layer| &*layer.id).collect();
    let told: Vec<&str> = running(facts).map(|layer| &*layer.id).collect();
    if sorted(&found) != sorted(&told) {
        return Err(format!("found {found:?}, the lab has {told:?}"));
    }
    let mut sources = snapshot.layers.iter().flat_map(|layer| layer.sources.iter().map(move |source| (layer, source)));
    match sources.find(|(_, source)| !source.up) {
        Some((layer, source)) => Err(format!("{}: {} could not be read: {:?}", layer.id, source.name, source.error)),
        None => Ok(()),
    }
}

fn running(facts: &Facts) -> impl Iterator<Item = &Layer> {
    facts.layers.iter().filter(|layer| layer.runtime.is_some())
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_owned();
    names.sort_unstable();
    names
}

/// Each layer with its own truth.
pub(crate) fn pairs<'a>(
    snapshot: &'a Snapshot,
    facts: &'a Facts,
) -> impl Iterator<Item = (&'a snapshot::Layer, &'a Layer)> {
    running(facts).map(|told| (snapshot.layer(&told.id).expect("shows_all was asked"), told))
}

/// An agent, and its first snapshot with all layers.
pub(crate) fn complete(lab: &Lab) -> (Agent, Facts, Snapshot) {
    let (facts, agent) = (lab.facts(), Agent::start());
    let (snapshot, ()) = agent.snapshot_after(now(), "all layers", |snapshot| shows_all(snapshot, &facts));
    (agent, facts, snapshot)
}

/// Place, kind and processes of every layer are those of the lab.
///
/// # Panics
///
/// Where they are not.
pub(crate) fn assert_places(snapshot: &Snapshot, facts: &Facts) {
    for (found, told) in pairs(snapshot, facts) {
        let name = &told.name;
        assert_eq!(found.kind, told.kind, "{name}: kind");
        assert_eq!(found.parent, told.parent, "{name}: parent");
        assert_eq!(found.image_store, told.image_store.in_layer, "{name}: image store");
        let data_root = told.docker_data_root.as_ref().map(|place| &place.in_layer);
        assert_eq!(found.docker_root.as_ref(), data_root, "{name}: Docker's data root");
        assert_eq!(found.container, told.container_id, "{name}: container");

        let (runtime, truth) = (found.runtime.as_ref(), told.runtime.as_ref());
        let (runtime, truth) = (runtime.expect("a runtime"), truth.expect("a runtime"));
        assert_eq!(
            (&runtime.name, runtime.pid, &runtime.version),
            (&truth.name, truth.pid, &truth.version),
            "{name}: runtime"
        );
        let pid_of_kubelet = |process: &crate::facts::Process| process.pid;
        assert_eq!(
            found.kubelet.as_ref().map(|process| process.pid),
            told.kubelet.as_ref().map(pid_of_kubelet),
            "{name}: kubelet"
        );
    }
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn every_layer_is_found_once_in_its_place_and_nothing_else_is() {
    let lab = Lab::take();
    let (_agent, facts, snapshot) = complete(&lab);

    let kinds = |kind: &str| snapshot.layers.iter().filter(|layer| layer.kind == kind).count();
    assert_eq!((kinds("host"), kinds("dind"), kinds("kind_node"), kinds("capd_node")), (1, 1, 1, 2));
    assert_places(&snapshot, &facts);
    let pids: BTreeSet<u32> = snapshot
        .layers
        .iter()
        .flat_map(|layer| layer.runtime.iter().chain(&layer.kubelet))
        .map(|process| process.pid)
        .collect();
    assert_eq!(pids.len(), 9, "five runtimes and four kubelets, no process twice: {pids:?}");
    assert!(!facts.decoys.is_empty(), "the lab has something that only looks like a layer");
    for decoy in &facts.decoys {
        assert!(!pids.contains(&decoy.pid), "{} is no layer", decoy.what);
    }
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn labels_are_those_of_the_job_the_cluster_and_the_node() {
    let lab = Lab::take();
    let (_agent, facts, snapshot) = complete(&lab);
    let pod = facts.pod();
    for (found, told) in pairs(&snapshot, &facts) {
        let in_pod = told.kind != "host";
        let of_pod = |value: &str| in_pod.then(|| value.to_owned());
        let label = |key: &str| of_pod(&pod.labels[key]);
        let name = &told.name;
        assert_eq!(found.pod_namespace, of_pod(&pod.namespace), "{name}: namespace");
        assert_eq!(found.pod, of_pod(&pod.name), "{name}: pod");
        assert_eq!(found.prow_job, label("prow.k8s.io/job"), "{name}: job");
        assert_eq!(found.prow_build_id, label("prow.k8s.io/build-id"), "{name}: build");
        assert_eq!(found.test_cluster, told.test_cluster, "{name}: cluster");
        assert_eq!(found.node_role, told.node_role, "{name}: role");
    }
}

/// Process starts in /proc are counted in hundredths of a second since the boot, which is itself known to one. The JSON has
/// whole seconds; the time of the next check has all digits and hangs on the kubelet's first pass.
#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn kubelets_started_when_the_lab_says_to_a_tenth_of_a_second() {
    /// Where the first pass of the kubelet's loop is put after it began to serve pod resources; imitations do not, and it is
    /// put after their start. Passes then come every 300.006 s. See `model/schedule.rs`.
    const AFTER_SERVING: f64 = 0.02;
    const AFTER_START: f64 = 0.2;
    const PERIOD: f64 = 300.006;

    let lab = Lab::take();
    let (agent, facts, snapshot) = complete(&lab);
    let scrape = agent.scrape().expect("a scrape");
    let mut phases = 0;
    for (found, told) in pairs(&snapshot, &facts) {
        let (Some(kubelet), Some(truth)) = (&found.kubelet, &told.kubelet) else { continue };
        let early = truth.start_time - kubelet.started_at();
        assert!((-0.1..1.1).contains(&early), "{}: whole seconds of {}, off by {early} s", told.name, truth.start_time);

        let serving = serving_since(told);
        assert_eq!(serving.is_some(), facts.kubelets == "real", "{}: real kubelets serve pod resources", told.name);
        assert_eq!(kubelet.serving_since(), serving.map(f64::floor), "{}: it serves since then", told.name);

        let next = scrape.value("highwater_next_image_gc_timestamp_seconds", &[("layer", &told.id)]);
        let collects = told.policy.as_ref().is_some_and(|policy| policy.image_gc.enabled);
        assert_eq!(next.is_some(), collects, "{}: a next check where images are collected", told.name);
        if let Some(next) = next {
            let first = serving.map_or(truth.start_time + AFTER_START, |since| since + AFTER_SERVING);
            let passes = (next - first) / PERIOD;
            let off = (passes - passes.round()).abs() * PERIOD;
            assert!(passes > 0.5 && off < 0.1, "{}: next check {next}, off by {off} s", told.name);
            phases += 1;
        }
    }
    assert_eq!(phases, 2, "the host and the old CAPD node collect images");
}

/// When the kubelet made the socket at which it serves pod resources, in seconds since the epoch; an imitation makes none.
fn serving_since(layer: &Layer) -> Option<f64> {
    let socket = layer.kubelet_root.as_ref()?.on_machine.join("pod-resources/kubelet.sock");
    let made = std::fs::metadata(socket).ok()?.modified().ok()?;
    Some(made.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?.as_secs_f64())
}
