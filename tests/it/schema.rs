//! Does every JSON answer conform to its schema in docs/schema, which allows no field that it does not describe?

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use crate::{demo, node, tools};
use highwater::assess::{State, assess};
use highwater::export::json;
use highwater::report::{Question, Report};
use highwater::sample::{AbsenceReason, Reading};
use highwater::snapshot::Snapshot;
use highwater::time::Span;
use highwater::units::Bytes;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SCHEMAS: [&str; 5] = ["snapshot", "explain", "backtest", "replay", "error"];

fn schema(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{name}.json"))
}

#[track_caller]
fn conforms(name: &str, json: &str) {
    let schema = schema(name);
    let arguments = ["tests/tools/conforms.py", schema.to_str().expect("a path in UTF-8")];
    if let Some((good, said)) = tools::output_of("python-jsonschema", &arguments, json) {
        assert!(good && said.is_empty(), "{name}: {said}");
    }
}

fn highwater(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_highwater")).args(arguments).output().expect("highwater runs");
    String::from_utf8(output.stdout).expect("text")
}

/// The fixed node, one that was just seen, one of which nothing can be read, and one with names that a container chose.
fn snapshots() -> [Snapshot; 4] {
    let mut new = node::snapshot();
    (new.assessment, _) = assess(&new.sample, State::default());
    let mut blind = node::snapshot();
    for disk in &mut blind.sample.filesystems {
        disk.space = Reading::absent(AbsenceReason::TimedOut, "no answer");
        disk.usage = Reading::absent(AbsenceReason::Denied, "open: EACCES");
        disk.stuck = true;
    }
    for layer in &mut blind.sample.layers {
        layer.images = Reading::absent(AbsenceReason::TooLarge, "more than 16 MiB");
        layer.runtime = None;
    }
    (blind.assessment, _) = assess(&blind.sample, State::default());
    blind.agent.boot_id = None;
    [node::snapshot(), new, blind, node::hostile("\"\\\u{1b}\u{202e}🦀")]
}

#[test]
fn the_snapshot() {
    for snapshot in snapshots() {
        conforms("snapshot", &node::json(&snapshot));
        conforms("snapshot", &json::line(&Report::new(&snapshot, node::now() + Span::from_secs(3_600))));
    }
}

#[test]
fn explain() {
    for snapshot in snapshots() {
        for written in [None, Some(Bytes::from_gib(100))] {
            let question = Question { layer: None, written };
            conforms("explain", &json::line(&node::explain(&snapshot, question).expect("every layer")));
        }
    }
}

#[test]
fn errors() {
    conforms("error", &json::error("no sample yet"));
}

#[test]
fn backtest() {
    conforms("backtest", &highwater(&["backtest", "--baseline", "-o", "json", "tests/fixtures/traces/d018.csv.gz"]));
}

#[test]
fn replay() {
    conforms("replay", &highwater(&["replay", "-o", "json", "tests/fixtures/recordings/by-hand.jsonl"]));
}

#[test]
fn a_running_demonstration_and_the_command_that_asks_it() {
    let demo = demo::Demo::start(&["--speed", "1000"]);
    let (snapshot, explain) = (demo.get("/api/v1/snapshot"), demo.get("/api/v1/explain?if_write=50GiB"));
    conforms("snapshot", &snapshot);
    conforms("explain", &explain);
    conforms("error", &demo.get("/api/v1/explain?layer=nowhere"));
    let told = highwater(&["check", "--agent", &demo.url, "-o", "json"]);
    conforms("snapshot", &told);
    let fields = |text: &str| serde_json::from_str::<Value>(text).expect("JSON")["layers"][0].clone();
    assert_eq!(fields(&told)["layer"], fields(&snapshot)["layer"]);
    conforms("explain", &highwater(&["explain", "--agent", &demo.url, "-o", "json"]));
}

#[test]
fn a_field_that_is_not_described_is_an_error_everywhere() {
    for name in SCHEMAS {
        let text = fs::read_to_string(schema(name)).expect("a schema");
        let schema: Value = serde_json::from_str(&text).expect("JSON");
        assert!(closed_objects(&schema, name) > 0, "{name}");
    }
}

/// How many objects a schema describes, all of which must be closed.
fn closed_objects(schema: &Value, path: &str) -> usize {
    let is_object = match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => false,
    };
    if is_object {
        assert_eq!(schema["additionalProperties"], false, "{path}");
    }
    let inside: usize = match schema {
        Value::Object(parts) => parts.iter().map(|(name, part)| closed_objects(part, &format!("{path}/{name}"))).sum(),
        Value::Array(parts) => parts.iter().map(|part| closed_objects(part, path)).sum(),
        _ => 0,
    };
    inside + usize::from(is_object)
}
