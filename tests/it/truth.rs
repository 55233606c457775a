//! Do the recordings that the truth test left still replay to the same verdicts? Real kubelets on real disks, without needing them
//! here; see docs/validation.md. `UPDATE_VALIDATION=1 make test-truth` makes new ones.

use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// One recording and the rows that a replay of it prints.
fn replays() -> Vec<(String, Vec<Value>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordings/truth");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let replay = |path: &Path| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_highwater")).arg("replay").arg(path).args(["-o", "json"]).output();
        let document: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        assert_eq!(document["warnings"], Value::Array(Vec::new()), "{}", path.display());
        let name = path.file_name().unwrap().to_str().unwrap().trim_end_matches(".jsonl.gz").to_owned();
        (name, document["rows"].as_array().unwrap().clone())
    };
    paths.iter().map(|path| replay(path)).collect()
}

#[test]
fn every_recording_of_a_real_kubelet_replays_to_the_same_rows() {
    let mut text = String::new();
    for (name, rows) in replays() {
        for row in rows {
            let count = |outcome: &str| {
                let part = |what: &str| row["score"][format!("{outcome}_{what}")].as_u64().unwrap();
                format!("{}/{}", part("gone"), part("gone") + part("kept"))
            };
            let level = &row["level"]["off_ratio"];
            let level = level.as_f64().map_or_else(|| "unknown".to_owned(), |off| format!("{:.1}%", off * 100.0));
            let late = row["late_seconds"].as_f64().unwrap();
            let (trigger, verdict) = (row["trigger"].as_str().unwrap(), row["verdict"].as_str().unwrap());
            let [certain, possible, safe] = ["certain", "possible", "safe"].map(count);
            writeln!(
                text,
                "{name:14} {trigger:14} certain {certain:5} possible {possible:5} safe {safe:5} late {late:+.1}s level off {level:8} {verdict}"
            )
            .unwrap();
        }
    }
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("truth-replays", text);
    });
}

#[test]
fn no_prediction_for_a_real_kubelet_was_wrong_and_most_were_certain() {
    let (mut deleted, mut certain) = (0, 0);
    for (name, rows) in replays() {
        // There it is shown that a minimum age keeps all.
        assert_eq!(rows.is_empty(), name == "minimum-age", "{name}: {rows:?}");
        for row in rows {
            assert_eq!(row["verdict"], "ok", "{name}: {row}");
            // Where images tie, which of them are deleted is open; and a kubelet that started below its threshold deletes in the
            // sync within whose bounds the minimum age is reached. Nobody can be certain there.
            if !["ties", "restart-1", "restart-2", "starts-below"].contains(&name.as_str()) {
                deleted += row["deleted_images"].as_u64().unwrap();
                certain += row["score"]["certain_gone"].as_u64().unwrap();
            }
        }
    }
    assert!(deleted >= 50, "the recordings show many deletions: {deleted}");
    assert!(certain * 10 >= deleted * 9, "{certain} of {deleted}");
}
