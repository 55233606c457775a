//! Does a recording keep what was seen, and does a replay judge predictions by it? By the program itself, on files.

use flate2::Compression;
use flate2::write::GzEncoder;
use highwater::assess::{Assessment, State, assess};
use highwater::demo::Scenario;
use highwater::sample::Sample;
use highwater::sample::recording::{Encoder, Reader};
use highwater::time::Timestamp;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

fn highwater(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_highwater")).args(arguments).output().unwrap()
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordings/by-hand.jsonl")
}

/// What a replay of the fixture prints, when some of its lines are changed first.
fn replayed(change: impl Fn(String) -> String) -> (Option<i32>, String, String) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("changed.jsonl");
    fs::write(&path, change(fs::read_to_string(fixture()).unwrap())).unwrap();
    let output = highwater(&["replay", path.to_str().unwrap()]);
    let stderr = String::from_utf8(output.stderr).unwrap().replace(directory.path().to_str().unwrap(), "");
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), stderr)
}

fn without(lines: &str) -> impl Fn(String) -> String {
    let lines = lines.to_owned();
    move |text| text.lines().filter(|line| !line.contains(&lines)).collect::<Vec<_>>().join("\n")
}

/// An old recording stays readable: this file is never rewritten, and what it says must not change.
#[test]
fn the_recording_of_version_1_written_by_hand_is_replayed_as_ever() {
    let (code, text, warnings) = replayed(|text| text);
    let expected = "\
21 samples from 2026-01-01T00:00:30Z to 2026-01-01T00:19:30Z

BETWEEN               AND                   LAYER  TRIGGER         CERTAIN   POSSIBLE  SAFE      UNPREDICTED  DELETED     BYTES   TIME    LEVEL  VERDICT
                                                                   GONE/ALL  GONE/ALL  GONE/ALL                           (CRI)    OFF      OFF
2026-01-01T00:14:55Z  2026-01-01T00:15:30Z  host   image_gc        2/2       0/0       0/3       0                  2  6.52 GiB  +0.0s  unknown  ok
2026-01-01T00:17:30Z  2026-01-01T00:18:30Z  host   image_eviction  1/1       0/0       0/2       0                  1  2.79 GiB  +0.0s  unknown  ok

2 right, 0 wrong, 0 that cannot be judged
";
    assert_eq!((code, text.as_str(), warnings.as_str()), (Some(0), expected, ""));
}

#[test]
fn a_certain_image_that_stayed_is_wrong() {
    let (code, text, _) = replayed(without(r#""image":"sha256:loaded""#));
    assert_eq!(code, Some(1));
    assert!(text.contains("host   image_gc        1/2 "), "{text}");
    assert!(
        text.contains("2026-01-01T00:15:30Z host: predicted as certain and still there: example.com/controller:dev\n"),
        "{text}"
    );
    assert!(text.ends_with("\n0 right, 2 wrong, 0 that cannot be judged\n"), "{text}");
}

#[test]
fn a_safe_image_that_went_is_wrong() {
    let (code, text, _) =
        replayed(|text| text.replace(r#""host","image":"sha256:job""#, r#""host","image":"sha256:web""#));
    assert_eq!(code, Some(1));
    assert!(text.contains("2026-01-01T00:18:30Z host: predicted as safe and deleted: example.com/web:1\n"), "{text}");
}

#[test]
fn an_image_gc_run_that_was_predicted_to_delete_and_did_not_is_wrong() {
    let (code, text, _) = replayed(without(r#""image":"sha256:"#));
    assert_eq!(code, Some(1));
    assert!(text.contains("wrong: nothing was deleted"), "{text}");
}

#[test]
fn deletions_without_cause_are_not_judged() {
    // Usage was never near a threshold: somebody deleted these by hand.
    let (code, text, _) = replayed(without(r#"{"type":"space","filesystem":"disk","available":1"#));
    assert_eq!(code, Some(0));
    assert!(text.contains("not by the kubelet, or unknown"), "{text}");
}

#[test]
fn json_says_the_same() {
    let output = highwater(&["replay", fixture().to_str().unwrap(), "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["schema_version"], &json["samples"]), (&2.into(), &21.into()));
    let row = &json["rows"][0];
    assert_eq!((&row["trigger"], &row["verdict"]), (&"image_gc".into(), &"ok".into()));
    assert_eq!(row["deleted_bytes"], 7_000_000_000_u64);
    let predicted = &row["predicted"];
    assert_eq!((&predicted["at"], &predicted["crossed"]), (&"2026-01-01T00:14:55Z".into(), &true.into()));
    assert_eq!(predicted["certain_bytes"], 7_000_000_000_u64);
    // 20 % of 100 GB is to be available, and 13.5 GB are.
    assert_eq!(predicted["wanted_bytes_most"], 6_500_000_000_u64);
}

#[test]
fn compressed_it_reads_the_same_and_cut_off_it_says_where() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("node.jsonl.gz");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&fs::read(fixture()).unwrap()).unwrap();
    let bytes = encoder.finish().unwrap();
    fs::write(&path, &bytes).unwrap();
    let plain = highwater(&["replay", fixture().to_str().unwrap()]);
    let packed = highwater(&["replay", path.to_str().unwrap()]);
    assert_eq!((packed.status.code(), packed.stdout), (Some(0), plain.stdout));

    fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    let output = highwater(&["replay", path.to_str().unwrap()]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{message}");
    assert!(message.contains("the file cannot be read further"), "{message}");
    assert!(message.contains("samples were read"), "{message}");
}

#[test]
fn a_damaged_line_is_named_and_what_came_before_counts() {
    let (code, text, message) =
        replayed(|text| text.replace(r#"{"type":"sample","at":"2026-01-01T00:16:30Z"}"#, "{\"type\":\"samp\u{1b}"));
    assert_eq!(code, Some(0), "{message}");
    assert!(text.starts_with("17 samples from "), "{text}");
    assert!(text.ends_with("\n1 right, 0 wrong, 0 that cannot be judged\n"), "{text}");
    assert!(message.starts_with("highwater: /changed.jsonl: line 47: the line is not a JSON object: "), "{message}");
    assert!(
        message.contains(
            "17 samples were read; after damage everything up to the next header is passed over, here 6 lines"
        ),
        "{message}"
    );
    assert!(!message.contains('\u{1b}'));
}

#[test]
fn what_cannot_be_read_at_all_has_its_exit_code() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("other");
    let file = path.to_str().unwrap();
    let cases = [
        (None, "No such file or directory"),
        (Some("root:x:0:0\n"), "line 1: the line is not a JSON object"),
        (Some(""), "it has no samples"),
        (
            Some("{\"type\":\"header\",\"format\":\"highwater-recording\",\"version\":2}\n"),
            "line 1: the recording has version 2 of the format and this highwater reads version 1: use a newer one",
        ),
    ];
    for (text, expected) in cases {
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let output = highwater(&["replay", file]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.starts_with(&format!("highwater: cannot read the recording {file}: {expected}")), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn the_agent_records_this_machine_and_the_replay_reads_it() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("node.jsonl");
    let file = path.to_str().unwrap();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["run", "--recording", file, "--sample.interval", "100ms", "--usage.interval", "0s"])
        .args(["--web.listen-address", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let recorded = || fs::read_to_string(&path).unwrap_or_default().matches("\"type\":\"sample\"").count();
    let enough = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        recorded() >= 3
    });
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(enough, "three samples are recorded");
    let output = highwater(&["replay", file, "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["samples"].as_u64().unwrap() >= 3);
    let output = highwater(&["backtest", file, "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["traces"].as_u64().unwrap() >= 1);
}

/// An hour and a half of the demonstration's node in both forms; the recording was begun anew in the middle, as by its limit.
fn as_recording_and_as_csv(directory: &Path) -> [PathBuf; 2] {
    let start = Timestamp::from_micros(1_795_500_000_000_000);
    let samples: Vec<_> = Scenario::new(5, start).step_by(3).take(360).collect();
    let [recorded, table] = ["recorded", "table"].map(|name| directory.join(name));
    for folder in [&recorded, &table] {
        fs::create_dir(folder).unwrap();
    }
    for (name, part) in [("node.jsonl.1", &samples[..200]), ("node.jsonl", &samples[200..])] {
        let mut encoder = Encoder::new("test");
        let mut lines = Vec::new();
        for sample in part {
            encoder.encode(sample, &mut lines);
        }
        fs::write(recorded.join(name), lines).unwrap();
    }
    let mut csv = "t_seconds,size_bytes,avail_bytes\n".to_owned();
    for sample in &samples {
        let space = sample.filesystems[0].space.value().unwrap();
        let (at, size, available) = (sample.at.micros() / 1_000_000, space.capacity.get(), space.available.get());
        writeln!(csv, "{at},{size},{available}").unwrap();
    }
    fs::write(table.join("node.csv"), csv).unwrap();
    [recorded, table]
}

#[test]
fn a_recording_is_scored_like_the_same_trace_in_another_form() {
    let directory = TempDir::new().unwrap();
    let forms = as_recording_and_as_csv(directory.path());
    let [recorded, table] = forms.each_ref().map(|folder| {
        let forecasts = folder.join("forecasts");
        let arguments = ["backtest", folder.to_str().unwrap(), "--emit-forecasts", forecasts.to_str().unwrap()];
        let output = highwater(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stderr, b"");
        (String::from_utf8(output.stdout).unwrap(), fs::read_to_string(forecasts).unwrap())
    });
    assert!(recorded == table, "{}\n{}", recorded.0, table.0);
    assert!(recorded.1.lines().count() > 2 * 85, "every minute: {}", recorded.1.lines().count());
    assert!(recorded.1.starts_with("{\"trace\":\"node\","));
}

#[test]
fn a_recording_of_any_name_is_known_by_its_beginning_and_told_when_it_is_damaged() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("node");
    let text = fs::read_to_string(fixture()).unwrap();
    fs::write(&path, &text).unwrap();
    let backtest = || highwater(&["backtest", path.to_str().unwrap()]);
    assert_eq!(backtest().status.code(), Some(0));
    fs::write(&path, &text[..text.len() - 20]).unwrap();
    let output = backtest();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stderr).unwrap().contains("the file ends within this line"));
    fs::write(&path, text.lines().next().unwrap()).unwrap();
    let output = backtest();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message, format!("highwater: cannot read the recording {}: it has no samples\n", path.display()));
}

#[test]
fn a_recording_that_cannot_be_written_is_an_error_at_the_start() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("precious");
    fs::write(&path, "precious").unwrap();
    let file = path.to_str().unwrap();
    let output = highwater(&["run", "--recording", file, "--web.listen-address", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!("highwater: cannot write the recording {file}: the file is there and is not a recording\n")
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let output = highwater(&["run", "--recording", file, "--recording.max-size", "1"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("the least size is 1MiB"), "{message}");
}

#[test]
fn explain_answers_from_what_was_known_at_the_time() {
    let fixture = fixture();
    let explain = |arguments: &[&str]| {
        let output =
            highwater(&[&["explain", "--recording", fixture.to_str().unwrap(), "-o", "json"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let images = json["layers"][0]["images"].as_array().unwrap().len();
        (json["sampled_at"].as_str().unwrap().to_owned(), images)
    };
    assert_eq!(explain(&["--at", "2026-01-01T00:14:58Z"]), ("2026-01-01T00:14:55Z".to_owned(), 5));
    assert_eq!(explain(&["--at", "1767226530", "host"]), ("2026-01-01T00:15:30Z".to_owned(), 3));
    assert_eq!(explain(&[]), ("2026-01-01T00:19:30Z".to_owned(), 2));

    let output = highwater(&["explain", "--recording", fixture.to_str().unwrap(), "--at", "2025-01-01T00:00:00Z"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(message.ends_with(": it begins at 2026-01-01T00:00:30Z, after 2025-01-01T00:00:00Z\n"), "{message}");
    let output = highwater(&["explain", "--at", "2025-01-01T00:00:00Z"]);
    assert_eq!(output.status.code(), Some(2), "a time without a recording");
}

/// Assesses samples one after the other.
fn answers(samples: &[Sample]) -> Vec<Assessment> {
    let mut state = State::default();
    let mut answers = Vec::new();
    for sample in samples {
        let (assessment, next) = assess(sample, state);
        state = next;
        answers.push(assessment);
    }
    answers
}

#[test]
fn a_recording_gives_the_answers_that_the_live_run_gave() {
    let mut scenario = Scenario::new(7, Timestamp::from_micros(1_767_225_600_250_003));
    // In a recording lists have the order of their ids.
    let live: Vec<Sample> = (0..400).map(|_| in_order(scenario.advance())).collect();
    let mut encoder = Encoder::new("a test");
    let mut file = Vec::new();
    for sample in &live {
        encoder.encode(sample, &mut file);
    }
    let mut reader = Reader::new(file.as_slice());
    let recorded: Vec<Sample> = std::iter::from_fn(|| reader.next_sample()).collect();
    assert!(reader.report().damage.is_empty());
    assert!(live == recorded, "the samples are the same");
    assert!(live.iter().flat_map(|sample| &sample.layers).any(|layer| layer.images.value().is_some()));
    assert!(answers(&live) == answers(&recorded), "and so are the answers");
    let whole: usize = live.iter().map(|sample| whole(sample).len()).sum();
    assert!(file.len() * 10 < whole, "only changes are written: {} of {whole} bytes", file.len());
}

/// A recording of this sample alone.
fn whole(sample: &Sample) -> Vec<u8> {
    let mut file = Vec::new();
    Encoder::new("a test").encode(sample, &mut file);
    file
}

fn in_order(mut sample: Sample) -> Sample {
    for layer in &mut sample.layers {
        layer.images = layer.images.clone().map(|mut store| {
            store.images.sort_by(|one, other| one.id.cmp(&other.id));
            store.containers.sort_by(|one, other| one.id.cmp(&other.id));
            store.pods.sort_by(|one, other| one.id.cmp(&other.id));
            store
        });
    }
    sample
}

#[test]
fn the_example_of_the_documentation_is_a_recording() {
    let text = include_str!("../../docs/recording.md");
    let example = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("example.jsonl");
    fs::write(&path, example).unwrap();
    let output = highwater(&["replay", path.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
    assert!(text.contains("host   image_gc  1/1 "), "{text}");
    assert!(text.ends_with("\n1 right, 0 wrong, 0 that cannot be judged\n"), "{text}");
}

#[test]
fn an_image_gc_run_between_a_list_and_the_next_sample_is_judged_by_the_prediction_before() {
    let seen_too_late = r#"{"type":"sample","at":"2026-01-01T00:14:55Z"}
{"type":"images","layer":"host","at":"2026-01-01T00:14:59Z"}
{"type":"space","filesystem":"disk","available":23500000000}
{"type":"sample","at":"2026-01-01T00:15:02Z"}
{"type":"images","layer":"host"}"#;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("late.jsonl");
    let text = fs::read_to_string(fixture()).unwrap();
    fs::write(&path, text.replace(r#"{"type":"sample","at":"2026-01-01T00:14:55Z"}"#, seen_too_late)).unwrap();
    let output = highwater(&["replay", path.to_str().unwrap(), "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &json["rows"][0];
    assert_eq!((&row["after"], &row["verdict"]), (&"2026-01-01T00:14:59Z".into(), &"ok".into()));
    assert_eq!(row["predicted"]["at"], "2026-01-01T00:14:55Z");
}

/// A node with enough space whose kubelet deletes images for their age: the image GC run at 00:05:00 deletes what was never used.
fn collected_for_age(gone: &str) -> (Option<i32>, Value) {
    let text = format!(
        r#"{{"type":"header","format":"highwater-recording","version":1}}
{{"type":"filesystem","filesystem":"disk","capacity":100000000000,"device":"/dev/vdb"}}
{{"type":"space","filesystem":"disk","available":60000000000}}
{{"type":"layer","layer":"host","imagefs":"disk"}}
{{"type":"kubelet","layer":"host","started_at":"2026-01-01T00:00:00Z","version":"v1.37.2"}}
{{"type":"config","layer":"host","file":{{"path":"/config.yaml","settings":{{"imageMaximumGCAge":"4m"}}}}}}
{{"type":"image","layer":"host","id":"sha256:old","tags":["example.com/old:1"],"size":2000000000}}
{{"type":"image","layer":"host","id":"sha256:used","tags":["example.com/used:1"],"size":2000000000}}
{{"type":"pod","layer":"host","id":"pod","uid":"1","namespace":"default","name":"web","ready":true}}
{{"type":"container","layer":"host","id":"c","pod":"pod","name":"c","state":"running","image_id":"sha256:used"}}
{{"type":"images","layer":"host"}}
{{"type":"sample","at":"2026-01-01T00:04:30Z"}}
{{"type":"sample","at":"2026-01-01T00:04:55Z"}}
{gone}
{{"type":"sample","at":"2026-01-01T00:05:00.9Z"}}
{{"type":"sample","at":"2026-01-01T00:05:30Z"}}
"#
    );
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("age.jsonl");
    fs::write(&path, text).unwrap();
    let output = highwater(&["replay", path.to_str().unwrap(), "-o", "json"]);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn what_is_deleted_for_its_age_is_predicted_and_told_from_what_somebody_deletes() {
    let (code, found) = collected_for_age(
        r#"{"type":"gone","layer":"host","image":"sha256:old"}
{"type":"space","filesystem":"disk","available":64000000000}"#,
    );
    let row = &found["rows"][0];
    assert_eq!((code, &row["trigger"], &row["verdict"]), (Some(0), &"image_gc".into(), &"ok".into()), "{found}");
    assert_eq!((&row["score"]["certain_gone"], &row["score"]["safe_kept"]), (&1.into(), &1.into()));
    assert_eq!(row["happened_earliest"], "2026-01-01T00:04:55Z");
    assert_eq!(
        (&row["late_seconds"], &row["level"]),
        (&0.0.into(), &Value::Null),
        "no level is said for a threshold that is far"
    );
}

#[test]
fn an_image_that_should_have_been_deleted_for_its_age_is_missed() {
    let (code, found) = collected_for_age("");
    let row = &found["rows"][0];
    assert_eq!((code, &row["verdict"], &row["deleted_images"]), (Some(1), &"wrong".into(), &0.into()), "{found}");
    assert_eq!(row["certain_kept"], serde_json::json!(["example.com/old:1"]));
}
