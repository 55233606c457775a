//! Small recordings on which the answer is known, see tests/fixtures/recordings/cases/README.md: is it the one that highwater gives?

use highwater::assess::{Assessment, State, assess};
use highwater::command::recording;
use highwater::model::Trigger;
use highwater::model::prediction::Prediction;
use highwater::model::victims::{Outcome, SafeReason};
use highwater::sample::{KubeletVersion, Sample};
use highwater::time::{Span, Timestamp};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/recordings/cases/{name}.jsonl"))
}

/// Seconds after the first sample of every case.
fn at(seconds: f64) -> Timestamp {
    Timestamp::from_secs_f64(1_767_225_600.0 + seconds)
}

/// What is known at some time, after a change to every sample.
fn known_at(name: &str, seconds: f64, change: impl Fn(&mut Sample)) -> Assessment {
    let mut samples = recording::open(&case(name)).unwrap();
    let mut state = State::default();
    let mut last = None;
    while let Some(mut sample) = samples.next_sample() {
        if sample.at > at(seconds) {
            break;
        }
        change(&mut sample);
        let (assessment, next) = assess(&sample, state);
        state = next;
        last = Some((sample, assessment));
    }
    let (mut sample, assessment) = last.unwrap();
    if sample.at == at(seconds) {
        return assessment;
    }
    // Asked between two samples.
    sample.at = at(seconds);
    assess(&sample, state).0
}

fn predicted(assessment: &Assessment, trigger: Trigger) -> &Prediction {
    let predictions = &assessment.layers[0].images.as_ref().unwrap().predictions;
    predictions.iter().find(|prediction| prediction.level.trigger == trigger).unwrap()
}

/// What an eviction would do to each image.
fn evicted(assessment: &Assessment) -> Vec<&'static str> {
    let word = |outcome: Outcome| match outcome {
        Outcome::Safe(reason) => reason.as_str(),
        outcome => outcome.certainty().unwrap(),
    };
    predicted(assessment, Trigger::ImageEviction).verdicts.iter().map(|judged| word(judged.outcome)).collect()
}

fn release(release: Option<&'static str>) -> impl Fn(&mut Sample) {
    move |sample| {
        for kubelet in sample.layers.iter_mut().filter_map(|layer| layer.kubelet.as_mut()) {
            kubelet.version = release.map(|release| KubeletVersion { release: release.into(), origin: None });
        }
    }
}

fn rows(name: &str) -> Vec<Value> {
    let path = case(name);
    let output = Command::new(env!("CARGO_BIN_EXE_highwater")).arg("replay").arg(path).args(["-o", "json"]).output();
    let document: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    document["rows"].as_array().unwrap().clone()
}

#[test]
fn f1_a_kubelet_up_to_1_28_knows_no_young_images_at_its_start() {
    let asked = |name, seconds, version| evicted(&known_at(name, seconds, release(version)));
    for (name, seconds) in [("f1", 6.3), ("f1b", 11.0), ("f1b", 16.0)] {
        for version in ["v1.20.2", "v1.25.1", "v1.28.15"] {
            assert_eq!(asked(name, seconds, Some(version)), ["certain", "certain"], "{name} {seconds} {version}");
        }
        assert_eq!(asked(name, seconds, None), ["possible", "possible"], "{name} {seconds}");
        assert_eq!(asked(name, seconds, Some("v1.29.0")), ["too_young", "too_young"], "{name} {seconds}");
    }
}

#[test]
fn f2_a_kubelet_that_ignores_pins_deletes_pinned_images_and_tells_its_schedule() {
    for name in ["f2", "f2b"] {
        let [row] = &rows(name)[..] else { panic!("one row") };
        assert_eq!((&row["trigger"], &row["verdict"]), (&"image_gc".into(), &"ok".into()), "{name}: {row}");
        assert_eq!(row["score"]["certain_gone"], 3, "{name}");
        // The next run is counted from this one: its end lies between two samples.
        let next = predicted(&known_at(name, 311.0, |_| ()), Trigger::ImageGc).at;
        assert!(next.earliest >= at(606.2) && next.latest <= at(612.0), "{name} {next:?}");
    }
}

#[test]
fn f3_what_is_known_later_of_the_schedule_leaves_no_second_prediction() {
    for name in ["f3", "f3b"] {
        let [row] = &rows(name)[..] else { panic!("one row") };
        assert_eq!((&row["trigger"], &row["verdict"]), (&"image_gc".into(), &"ok".into()), "{name}: {row}");
        assert_eq!(
            (&row["predicted"]["at"], &row["score"]["certain_gone"]),
            (&"2026-01-01T00:04:56Z".into(), &2.into())
        );
    }
}

#[test]
fn f4_an_inode_eviction_is_predicted_and_told() {
    let [row] = &rows("f4")[..] else { panic!("one row") };
    assert_eq!((&row["trigger"], &row["verdict"]), (&"inode_eviction".into(), &"ok".into()), "{row}");
    assert_eq!((&row["score"]["certain_gone"], &row["late_seconds"]), (&2.into(), &0.0.into()));
}

#[test]
fn f5_the_grace_period_of_a_soft_threshold_may_have_begun_before_it_was_seen_crossed() {
    let [row] = &rows("f5")[..] else { panic!("one row") };
    assert_eq!((&row["trigger"], &row["verdict"]), (&"image_eviction".into(), &"ok".into()), "{row}");
    assert_eq!(row["score"]["certain_gone"], 2);
}

#[test]
fn f6_what_root_has_used_of_its_reserve_is_given_back_first() {
    let after = predicted(&known_at("f6", 290.0, |_| ()), Trigger::ImageGc).available_after.unwrap();
    assert_eq!((after.least.get(), after.most.get()), (5_000_000_000, 5_000_000_000));
}

#[test]
fn f8_an_age_that_is_reached_within_the_bounds_of_a_sync_makes_possible() {
    let evicted_at = |seconds| {
        let assessment = known_at("f8", seconds, |_| ());
        let at = predicted(&assessment, Trigger::ImageEviction).at;
        assert!(at.latest.since(at.earliest) >= Span::from_secs(10));
        evicted(&assessment)
    };
    assert_eq!(evicted_at(100.0), [SafeReason::TooYoung.as_str(); 2]);
    assert_eq!(evicted_at(115.0), ["possible", "possible"]);
    assert_eq!(evicted_at(121.0), ["possible", "possible"]);
    assert_eq!(evicted_at(125.0), ["certain", "certain"]);
}
