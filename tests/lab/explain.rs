//! Does `explain` name the images that each node would lose, and does a recording give the answers that the agent gave?

use crate::agent::{Agent, PROGRAM};
use crate::lab::{Lab, output};
use crate::layers::shows_all;
use crate::wait::{now, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// What `explain` prints of one layer.
pub(crate) fn explain(arguments: &[&str]) -> String {
    output(Command::new(PROGRAM).arg("explain").args(arguments))
}

fn layer(document: &str) -> Value {
    let mut document: Value = serde_json::from_str(document).expect("JSON");
    assert_eq!(document["layers"].as_array().map(Vec::len), Some(1), "{document}");
    document["layers"][0].take()
}

/// The images of a layer that its own runtime lists as unpinned, and none of its containers uses: ids and names.
pub(crate) fn unused(lab: &Lab, name: &str) -> BTreeSet<(String, String)> {
    let ask = |method: &str| -> Value { serde_json::from_str(&lab.verb(&["cri", name, method])).expect("JSON") };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let containers = ask("ListContainers");
    let used: BTreeSet<String> =
        containers["containers"].as_array().into_iter().flatten().map(|one| text(&one["image_ref"])).collect();
    let images = ask("ListImages");
    let images = images["images"].as_array().expect("a list").iter();
    let free = images.filter(|image| image["pinned"] != 1);
    free.map(|image| (text(&image["id"]), text(&image["repo_tags"][0]))).filter(|(id, _)| !used.contains(id)).collect()
}

/// The ids of those that a trigger would, or might, delete.
pub(crate) fn victims(trigger: &Value) -> BTreeSet<String> {
    let verdicts = trigger["verdicts"].as_array().expect("a list").iter();
    verdicts
        .filter(|verdict| verdict["outcome"] != "safe")
        .map(|v| v["image"].as_str().expect("an id").to_owned())
        .collect()
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn explain_names_exactly_the_unpinned_unused_images_of_the_old_capd_node_and_that_they_are_fatal() {
    let lab = Lab::take();
    let unused = unused(&lab, "capd-old-worker");
    let found = layer(&explain(&["capd-old-worker", "-o", "json", "--window", "1s"]));
    let triggers = found["triggers"].as_array().expect("a list");
    assert_eq!(triggers.len(), 1, "evictions are off there: {found}");
    assert_eq!(triggers[0]["trigger"], "image_gc");
    let ids: BTreeSet<String> = unused.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(victims(&triggers[0]), ids, "{unused:?}");
    for image in found["images"].as_array().expect("a list") {
        // `:dev`, as an end-to-end run builds and loads them: no registry has them.
        let fatal = ids.contains(image["image"].as_str().expect("an id"));
        assert!(!fatal || image["recoverable"] == "no", "{image}");
    }
    let text = explain(&["capd-old-worker", "--window", "1s"]);
    let fatal = text.lines().find(|line| line.trim_start().starts_with("Fatal: ")).expect("it says what is fatal");
    assert!(fatal.contains(&format!("; {} exist nowhere else", ids.len())), "{text}");
    for (_, name) in &unused {
        let row = text.lines().find(|line| line.contains(name.as_str())).expect("a row for each");
        assert!(row.trim_start().starts_with("certain ") || row.trim_start().starts_with("possible "), "{row}");
    }
}

/// What helps a layer, best first.
fn remedies(name: &str) -> Value {
    layer(&explain(&[name, "-o", "json", "--window", "1s"]))["remedies"].take()
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn the_commands_that_explain_prints_pin_what_would_be_lost() {
    let lab = Lab::take();
    let ids: BTreeSet<String> = unused(&lab, "capd-old-worker").into_iter().map(|(id, _)| id).collect();
    let before = remedies("capd-old-worker");
    let best = &before[0];
    assert_eq!(best["remedy"], "pin", "{best}");
    let of = |list: &Value| -> BTreeSet<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    assert_eq!(of(&best["images"]), ids);
    let commands = of(&best["commands"]);
    for command in &commands {
        lab.verb(&["shell", "capd-old-worker", command]);
    }
    let left = unused(&lab, "capd-old-worker");
    let after = remedies("capd-old-worker");
    // Taken off again for the other tests.
    for command in &commands {
        lab.verb(&["shell", "capd-old-worker", &command.replace("pinned=pinned", "pinned=")]);
    }
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(after, Value::Array(Vec::new()), "nothing is left to be lost");
    assert_eq!(unused(&lab, "capd-old-worker").len(), ids.len());
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn explain_says_of_the_kind_node_that_collection_is_off_and_what_eviction_does() {
    let lab = Lab::take();
    assert!(!unused(&lab, "kind-control-plane").is_empty(), "there is something to lose");
    for name in ["kind-control-plane", "capd-new-worker"] {
        let found = layer(&explain(&[name, "-o", "json", "--window", "1s"]));
        assert_eq!(found["policy"]["image_gc_enabled"], false, "{name}");
        assert_eq!(found["triggers"], Value::Array(Vec::new()), "{name}: nothing deletes images");
        let text = explain(&[name, "--window", "1s"]);
        assert!(text.contains("Image GC is off here"), "{text}");
        assert!(text.contains("Eviction deletes no images here: its thresholds are off"), "{text}");
    }
    // The host has both.
    let host = layer(&explain(&["host", "-o", "json", "--window", "1s"]));
    let names: Vec<&str> =
        host["triggers"].as_array().expect("a list").iter().filter_map(|trigger| trigger["trigger"].as_str()).collect();
    assert_eq!(names, ["image_gc", "image_eviction", "inode_eviction"]);
}

/// The times of the samples in a recording that lie within that second.
fn samples_within(recording: &Path, second: &str) -> Vec<String> {
    let text = std::fs::read_to_string(recording).expect("a recording");
    let begin: f64 = output(Command::new("date").args(["-u", "-d", second, "+%s"])).trim().parse().expect("seconds");
    let times = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let times = times.filter(|line| line["type"] == "sample").filter_map(|line| line["at"].as_f64());
    times.filter(|at| (begin..begin + 1.0).contains(at)).map(|at| format!("{at:.6}")).collect()
}

/// What was said at a time stays the same for ever, but for how old it is, and for the order of lists.
fn timeless(document: &str) -> Value {
    let mut document: Value = serde_json::from_str(document).expect("JSON");
    let fields = document.as_object_mut().expect("an object");
    fields.remove("age_seconds");
    fields.remove("stale");
    for layer in document["layers"].as_array_mut().expect("a list") {
        let lists =
            |value: &mut Value| value.as_array_mut().expect("a list").sort_by_key(|one| one["image"].to_string());
        lists(&mut layer["images"]);
        layer["triggers"]
            .as_array_mut()
            .expect("a list")
            .iter_mut()
            .for_each(|trigger| lists(&mut trigger["verdicts"]));
    }
    document
}

/// Equal, and seconds and probabilities nearly so: a recording gives a disk the time of its sample, some microseconds after it was read,
/// or milliseconds on a busy machine, and a forecast is counted from that.
fn nearly(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| nearly(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| nearly(value, other)))
        }
        (Value::Number(number), _) if number.is_f64() => {
            let close = |one: f64, other: f64| (one - other).abs() <= 0.03 * one.abs().max(1.0);
            one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| close(one, other))
        }
        _ => one == other,
    }
}

/// Field by field, so that a failure can be read.
fn assert_same(live: &Value, replayed: &Value) {
    let layers = |document: &Value| document["layers"].as_array().expect("a list").clone();
    assert_eq!(layers(live).len(), layers(replayed).len());
    for (live, replayed) in layers(live).iter().zip(&layers(replayed)) {
        for (field, value) in live.as_object().expect("an object") {
            assert!(nearly(value, &replayed[field]), "{}: {field}: {value} and {}", live["layer"], replayed[field]);
        }
    }
    for (field, value) in live.as_object().expect("an object").iter().filter(|(field, _)| *field != "layers") {
        assert!(nearly(value, &replayed[field]), "{field}: {value} and {}", replayed[field]);
    }
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn a_recording_answers_as_the_agent_did() {
    let lab = Lab::take();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recording = folder.path().join("node.jsonl");
    let agent = Agent::start_with(&[&format!("--recording={}", recording.display())]);
    let facts = lab.facts();
    agent.snapshot_after(now(), "all layers", |snapshot| shows_all(snapshot, &facts));
    let compare = || {
        until("one sample in the second of an answer", || {
            let live = crate::http::get(agent.address, "/api/v1/explain")?;
            let second = timeless(&live)["sampled_at"].as_str().expect("a time").to_owned();
            let samples = samples_within(&recording, &second);
            let [at] = &samples[..] else { return Err(format!("{samples:?} within {second}")) };
            // A second may get a second sample after it was looked at.
            let begun = now();
            if begun < at.parse::<f64>().expect("a number").floor() + 1.0 {
                return Err("the second is not over".to_owned());
            }
            let at = output(Command::new("date").args(["-u", "-d", &format!("@{at}"), "+%Y-%m-%dT%H:%M:%S.%6NZ"]));
            let path = recording.to_str().expect("UTF-8");
            let replayed = explain(&["-o", "json", "--recording", path, "--at", at.trim()]);
            Ok((timeless(&live), timeless(&replayed)))
        })
    };
    let (live, replayed) = compare();
    assert_eq!(live["layers"].as_array().map(Vec::len), Some(4), "every layer with a kubelet: {live}");
    assert_same(&live, &replayed);
    // And when a line is crossed.
    let space = lab.space();
    lab.fill("host", space.available - space.size / 1000 * 155);
    let crossed = until("a crossed line", || {
        let (live, replayed) = compare();
        let crossed =
            live["layers"].as_array().into_iter().flatten().any(|layer| layer["triggers"][0]["crossed"] == true);
        if crossed { Ok((live, replayed)) } else { Err("not seen yet".to_owned()) }
    });
    assert_same(&crossed.0, &crossed.1);
}
