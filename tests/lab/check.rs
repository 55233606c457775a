//! Does `highwater check` show the lab, and does its exit code say how bad it is?

use crate::agent::PROGRAM;
use crate::fill::SteadyFill;
use crate::lab::Lab;
use crate::layers::{assert_places, shows_all};
use crate::policy::assert_policies;
use crate::snapshot::Snapshot;
use crate::wait::until;
use std::process::Command;

const MIB: u64 = 1 << 20;

/// Standard output and exit code.
fn check(arguments: &[&str]) -> (String, i32) {
    let output = Command::new(PROGRAM).arg("check").args(arguments).output().expect("the program can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().unwrap_or_else(|| panic!("ended by a signal: {errors}"));
    assert!(matches!(code, 0..=3), "exit code {code}: {errors}");
    (String::from_utf8(output.stdout).expect("UTF-8"), code)
}

/// A disk that moves as fast as this reaches no line within days.
const QUIET: u64 = MIB;

/// What it says while the disk is quiet: a kubelet that writes something big just then is no failure.
fn check_while_quiet(lab: &Lab, arguments: &[&str]) -> (String, i32) {
    until("a quiet disk", || {
        let before = lab.space().available;
        let answer = check(arguments);
        let moved = before.abs_diff(lab.space().available);
        if moved < QUIET { Ok(answer) } else { Err(format!("{moved} bytes meanwhile")) }
    })
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn check_prints_one_row_for_each_layer_and_finds_nothing_near() {
    let lab = Lab::take();
    let facts = lab.facts();
    let (text, code) = check_while_quiet(&lab, &[]);
    assert_eq!((code, text.lines().last()), (0, Some("OK")), "{text}");

    // After the node's name, the heads of the columns are two lines; the table ends with a blank one.
    let rows: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("LAYER"))
        .skip(2)
        .take_while(|line| !line.is_empty())
        .collect();
    let disk = facts.disk.mountpoint.to_string_lossy();
    // Last part of the name, kind, image GC, and the trigger that comes first.
    let expected = [
        ("host", "host", "85/80 default", "image GC"),
        ("ci-e2e-capi-prow-host", "dind", "no kubelet", "disk full"),
        ("kind-control-plane", "kind_node", "off, file", "disk full"),
        ("capd-old-worker", "capd_node", "85/80 default", "image GC"),
        ("capd-new-worker", "capd_node", "off, flag", "disk full"),
    ];
    assert_eq!(rows.len(), expected.len(), "{text}");
    for (name, kind, image_gc, first) in expected {
        let is_row = |row: &&&str| {
            let mut words = row.split_whitespace().skip_while(|word| *word == "└");
            words.next().is_some_and(|word| word.rsplit('/').next() == Some(name))
        };
        let found: Vec<_> = rows.iter().filter(is_row).collect();
        let [row] = found[..] else { panic!("{} rows for {name}: {text}", found.len()) };
        for word in [kind, &disk, "% / ", "iB", image_gc, first, "not expected"] {
            assert!(row.contains(word), "{name}: {word} in {row}");
        }
        assert!(!row.contains('?'), "{name}: everything is known: {row}");
    }
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn check_in_json_agrees_with_the_lab() {
    let lab = Lab::take();
    let facts = lab.facts();
    let (snapshot, code) = until("all layers", || {
        let (text, code) = check_while_quiet(&lab, &["-o", "json"]);
        let snapshot = Snapshot::parse(&text);
        shows_all(&snapshot, &facts)?;
        Ok((snapshot, code))
    });
    assert_eq!(code, 0);
    assert_places(&snapshot, &facts);
    assert_policies(&snapshot, &facts);
    let disk = snapshot.disk().expect("one filesystem");
    assert!(disk.avail_bytes.expect("measured").abs_diff(lab.space().available) < QUIET);
    for layer in &snapshot.layers {
        assert!(layer.exclusive_bytes.is_some_and(|bytes| bytes > MIB), "{}: has been walked", layer.id);
    }
}

/// Between the line of image GC (16 % available) and that of image eviction (15 %): nothing acts there but a kubelet's look at its
/// images every five minutes.
#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn check_is_critical_when_a_line_is_crossed() {
    let lab = Lab::take();
    let space = lab.space();
    lab.fill("host", space.available - space.size / 1000 * 155);
    let (text, code) = check(&["-o", "json", "--window", "1s", "--usage.timeout", "0s"]);
    let snapshot = Snapshot::parse(&text);
    let host = snapshot.layer("host").expect("the host");
    assert!(host.trigger("image_gc").headroom.expect("measured") < 0, "{text}");
    assert!(host.trigger("image_eviction").headroom.expect("measured") > 0, "{text}");
    assert_eq!(code, 2, "{text}");
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn check_is_critical_while_a_fill_reaches_a_line_within_the_window() {
    let lab = Lab::take();
    let line = lab.space().size / 100 * 20;
    let fill = SteadyFill::start(&lab, 16 * MIB, line);
    let (text, code) = check(&["-o", "json", "--window", "8s", "--usage.timeout", "0s"]);
    assert!(fill.goes_on(), "still filling");
    drop(fill);
    let snapshot = Snapshot::parse(&text);
    let trigger = snapshot.layer("host").expect("the host").trigger("image_gc");
    assert!(trigger.headroom.expect("measured") > 0, "not crossed: {text}");
    let predicted = trigger.forecast.as_ref().and_then(|forecast| forecast.p50_seconds);
    assert!(predicted.is_some_and(|seconds| seconds < 1_800.0), "{text}");
    assert_eq!(code, 2, "{text}");
}
