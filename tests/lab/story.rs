//! The story that highwater is about, with real kubelets: one disk runs low, the kubelet of a nested node looks first, and the
//! images that were loaded into it and that no registry has are gone, while the other layers keep theirs. Was it predicted?

use crate::agent::Agent;
use crate::explain::{unused, victims};
use crate::lab::{Lab, output};
use crate::layers::shows_all;
use crate::wait::{now, until};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

const NODE: &str = "capd-old-worker";
/// ImageGCPeriod of a kubelet, and how long its first pass takes to come.
const PERIOD: f64 = 300.3;
/// The tick decides on the number of an eviction pass of up to ten seconds before.
const BEFORE: f64 = 30.0;

/// How long until the next tick of a kubelet that started then, at `at`.
fn until_tick(started: f64, at: f64) -> f64 {
    PERIOD - (at - started - 0.3).rem_euclid(PERIOD - 0.3)
}

fn sleep_until(time: f64) {
    sleep(Duration::from_secs_f64((time - now()).max(0.0)));
}

/// Every image of every layer with a kubelet.
fn images(lab: &Lab) -> BTreeMap<&'static str, BTreeSet<String>> {
    let layers = ["host", "kind-control-plane", NODE, "capd-new-worker"];
    let of = |name: &str| lab.verb(&["images", name]).lines().map(str::to_owned).collect();
    layers.into_iter().map(|name| (name, of(name))).collect()
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn the_nested_kubelet_deletes_its_preloaded_images_as_predicted_and_the_others_keep_theirs() {
    let lab = Lab::take();
    if lab.facts().kubelets != "real" {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recording = folder.path().join("node.jsonl");
    let agent = Agent::start_with(&[&format!("--recording={}", recording.display())]);
    let facts = lab.facts();
    agent.snapshot_after(now(), "all layers", |snapshot| shows_all(snapshot, &facts));
    // The agent knows what the first pass of a kubelet has seen only where it was there before; and the host's tick has to be
    // elsewhere.
    let host = facts.layer("host").kubelet.as_ref().expect("the host has a kubelet").start_time;
    while until_tick(host, now() + PERIOD) < 60.0 || until_tick(host, now() + PERIOD) > PERIOD - 60.0 {
        sleep(Duration::from_secs(1));
    }
    lab.verb(&["kubelet-restart", NODE]);
    let facts = lab.facts();
    let tick = facts.layer(NODE).kubelet.as_ref().expect("the node has a kubelet").start_time + PERIOD;
    sleep_until(tick - 2.0 * BEFORE);
    let (before, preloaded) = (images(&lab), unused(&lab, NODE));
    assert!(!preloaded.is_empty(), "there is something to lose");
    sleep_until(tick - BEFORE);
    let space = lab.space();
    lab.fill("host", space.available - space.size / 1000 * 155);
    let layer = |document: &Value, name: &str| {
        let layers = document["layers"].as_array().expect("a list").iter();
        let mut named =
            layers.filter(|layer| layer["layer"].as_str().is_some_and(|id| id.rsplit('/').next() == Some(name)));
        named.next().expect("every layer with a kubelet is explained").clone()
    };
    // Before.
    let predicted = until("a crossed line", || {
        let text = crate::http::get(agent.address, "/api/v1/explain")?;
        let document: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if layer(&document, NODE)["triggers"][0]["crossed"] == true {
            Ok(document)
        } else {
            Err("not seen yet".to_owned())
        }
    });
    assert!(now() < tick, "the machine is too slow for this");
    sleep_until(tick);
    until("deletions", || if images(&lab) == before { Err("nothing is gone".to_owned()) } else { Ok(()) });
    // All of them.
    sleep(Duration::from_secs(3));
    let after = images(&lab);
    lab.verb(&["unfill"]);

    let trigger = &layer(&predicted, NODE)["triggers"][0];
    assert_eq!((&trigger["trigger"], &trigger["crossed"]), (&Value::from("image_gc"), &Value::from(true)), "{trigger}");
    let gone: BTreeSet<String> = preloaded.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(victims(trigger), gone, "exactly what was preloaded: {preloaded:?}");
    assert_eq!(trigger["certain"]["images"], gone.len(), "{trigger}");
    let likely = trigger["acts_at"]["likely"].as_str().expect("a time");
    let likely: f64 =
        output(Command::new("date").args(["-u", "-d", likely, "+%s.%N"])).trim().parse().expect("seconds");
    assert!((likely - tick).abs() < 5.0, "predicted for {likely}, due {tick}");
    let kept: BTreeSet<_> = after[NODE].iter().cloned().collect();
    let lost: Vec<&String> = before[NODE].difference(&kept).collect();
    assert_eq!(lost.len(), gone.len(), "{lost:?}");
    for (_, name) in &preloaded {
        assert!(lost.iter().any(|line| line.contains(name.as_str())), "{name} is gone: {lost:?}");
    }
    for other in ["host", "kind-control-plane", "capd-new-worker"] {
        assert_eq!(after[other], before[other], "{other} keeps its images");
    }
    // And a replay of what was recorded says the same.
    drop(agent);
    let replay = Command::new(crate::agent::PROGRAM).arg("replay").arg(&recording).args(["-o", "json"]).output();
    let replay = replay.expect("the program can be started");
    let replay: Value = serde_json::from_slice(&replay.stdout).expect("JSON");
    let rows = replay["rows"].as_array().expect("a list");
    assert_eq!(rows.len(), 1, "{replay}");
    assert_eq!((&rows[0]["verdict"], &rows[0]["trigger"]), (&Value::from("ok"), &Value::from("image_gc")), "{replay}");
    assert!(rows[0]["late_seconds"].as_f64().is_some_and(|late| late.abs() < 5.0), "{replay}");
}
