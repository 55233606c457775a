//! Do bytes count for the layer that holds them?

use crate::agent::Agent;
use crate::facts::Facts;
use crate::lab::{Lab, output};
use crate::layers::{complete, shows_all};
use crate::snapshot::{Snapshot, Usage};
use crate::wait::{now, until};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const MIB: u64 = 1 << 20;
/// Logs and journals that kubelets and runtimes write between two walks; the idle lab was seen to write 40 KiB in a second.
const ELSE: u64 = MIB;

/// The first usage whose walk began after now, and which counts for all layers.
fn walked(agent: &Agent, layers: usize) -> Snapshot {
    let begin = now();
    let is_new = |usage: &Usage| usage.began_at() >= begin && usage.layers.len() == layers;
    let (snapshot, ()) = agent.snapshot_after(begin, "a walk", |snapshot| {
        let found = snapshot.disk()?.usage.as_ref();
        if found.is_some_and(is_new) { Ok(()) } else { Err(format!("only {found:?}")) }
    });
    snapshot
}

fn usage(snapshot: &Snapshot) -> &Usage {
    snapshot.disk().ok().and_then(|disk| disk.usage.as_ref()).expect("walked")
}

/// Bytes by layer and component.
fn held(snapshot: &Snapshot) -> BTreeMap<(String, String), u64> {
    let by_component = usage(snapshot).layers.iter().flat_map(|layer| {
        layer.components.iter().map(|(component, bytes)| ((layer.id.clone(), component.clone()), *bytes))
    });
    by_component.collect()
}

/// Rows sum to the used bytes, in the figures of one walk and in `stat -f` next to it.
fn assert_sums(snapshot: &Snapshot, lab: &Lab) {
    let usage = usage(snapshot);
    let rows: u64 = usage.layers.iter().map(|layer| layer.bytes).sum();
    let components: u64 = held(snapshot).values().sum();
    assert_eq!((rows, components), (usage.used_bytes, usage.used_bytes), "{usage:?}");
    let space = lab.space();
    let used = space.size - space.free;
    assert!(used.abs_diff(usage.used_bytes) <= ELSE, "stat -f: {used} used; walked: {}", usage.used_bytes);
    assert_eq!(usage.unreadable_directories, 0);
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn a_file_counts_for_the_layer_it_is_written_in_and_for_no_other() {
    const SIZE: u64 = 64 * MIB;
    let lab = Lab::take();
    let (agent, facts, _) = complete(&lab);
    let layers = facts.layers.len();
    let mut before = walked(&agent, layers);
    assert_sums(&before, &lab);
    for told in &facts.layers {
        lab.verb(&["write", &told.name, &SIZE.to_string()]);
        let after = walked(&agent, layers);
        assert_sums(&after, &lab);
        // The lab writes below the kubelet's root, and in Docker's where there is no kubelet.
        let component = if told.kubelet_root.is_some() { "kubelet" } else { "store" };
        let place = (told.id.clone(), component.to_owned());
        let (old, new) = (held(&before), held(&after));
        assert_eq!(old.keys().collect::<Vec<_>>(), new.keys().collect::<Vec<_>>());
        for (key, bytes) in &new {
            let expected = old[key] + if *key == place { SIZE } else { 0 };
            let name = &told.name;
            assert!(bytes.abs_diff(expected) <= ELSE, "written in {name}; {key:?}: {bytes}, expected {expected}");
        }
        let rows: BTreeMap<&str, u64> = usage(&after).layers.iter().map(|row| (&*row.id, row.bytes)).collect();
        let other = new.get(&("host".to_owned(), "other".to_owned())).copied().unwrap_or(0);
        for layer in &after.layers {
            // What belongs to nobody stands in the host's row and is not held by it.
            let own = rows[&*layer.id] - if layer.id == "host" { other } else { 0 };
            assert_eq!(layer.exclusive_bytes, Some(own), "{}", layer.id);
        }
        before = after;
    }
}

/// Directories of each layer on the lab's disk, innermost layer first. `du` counts what lies below two of its arguments for the
/// first.
fn directories(facts: &Facts) -> Vec<(&str, PathBuf)> {
    let on_machine = |place: &crate::facts::Place| place.on_machine.clone();
    let mut directories = Vec::new();
    for node in facts.nodes() {
        // All of a node is in its volume at /var; the kubelet's root is /var/lib/kubelet.
        let root = on_machine(node.kubelet_root.as_ref().expect("a node has a kubelet"));
        let volume = root.ancestors().nth(2).map(Path::to_owned).expect("/var/lib/kubelet");
        directories.push((&*node.id, volume));
    }
    let (dind, host) = (facts.layer("dind"), facts.layer("host"));
    directories.push((&dind.id, on_machine(&dind.runtime_root)));
    let kubelet = on_machine(host.kubelet_root.as_ref().expect("the host has a kubelet"));
    let logs = facts.disk.mountpoint.join("var/log/pods");
    directories.extend([on_machine(&host.runtime_root), kubelet, logs].map(|place| (&*host.id, place)));
    directories
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn each_layer_holds_what_du_says() {
    let lab = Lab::take();
    let (agent, facts, _) = complete(&lab);
    let snapshot = walked(&agent, facts.layers.len());
    let places = directories(&facts);
    let text = output(Command::new("du").args(["-x", "-s", "-B1"]).args(places.iter().map(|(_, place)| place)));
    let counted: Vec<u64> = text
        .lines()
        .map(|line| line.split('\t').next().and_then(|number| number.parse().ok()).expect("a number"))
        .collect();
    assert_eq!(counted.len(), places.len(), "{text}");
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for ((layer, _), bytes) in places.iter().zip(counted) {
        *sums.entry(layer).or_default() += bytes;
    }
    for layer in &snapshot.layers {
        let (found, du) = (layer.exclusive_bytes.expect("walked"), sums[&*layer.id]);
        assert!(found.abs_diff(du) <= ELSE, "{}: {found}, du: {du}", layer.id);
    }
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn what_a_runtime_says_of_its_images_is_quoted() {
    let lab = Lab::take();
    let (agent, facts, _) = complete(&lab);
    // containerd counts anew every ten seconds, so that two who ask may get two answers.
    for told in facts.layers.iter().filter(|told| told.kind != "dind") {
        until("the same answer", || {
            let answer = lab.verb(&["cri", &told.name, "ImageFsInfo"]);
            let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
            let used = answer["image_filesystems"][0]["used_bytes"]["value"].as_u64();
            let (snapshot, ()) = agent.snapshot_after(now(), "a round", |snapshot| shows_all(snapshot, &facts));
            let found = snapshot.layer(&told.id).and_then(|layer| layer.runtime_used_bytes);
            if found.is_some() && found == used { Ok(()) } else { Err(format!("{}: {found:?}: {answer}", told.name)) }
        });
    }
    let docker = agent.snapshot().expect("a snapshot");
    let docker = docker.layer(&facts.layer("dind").id).expect("shows_all was asked");
    assert_eq!(docker.runtime_used_bytes, None, "Docker is not asked: it would walk its disk");
}
