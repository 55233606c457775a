//! What does a scrape look like, as a whole and read by a second implementation?

#![expect(clippy::expect_used, clippy::float_cmp, reason = "a test that cannot go on says so; values are exact")]

use crate::exposition::{Labels, parse};
use crate::{node, tools};
use highwater::export::catalogue::Name;
use highwater::export::metrics::{Budget, Format, render};
use highwater::report::Report;
use highwater::sample::{AbsenceReason, FilesystemId, Reading};
use highwater::snapshot::Snapshot;
use highwater::time::Span;
use highwater::units::Bytes;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn scrape(snapshot: &Snapshot, format: Format) -> String {
    render(Some(&node::report(snapshot)), Budget::default(), format)
}

fn samples(snapshot: &Snapshot) -> Vec<(String, Labels, f64)> {
    let openmetrics = parse(&scrape(snapshot, Format::OpenMetrics)).expect("OpenMetrics that parses");
    let text = parse(&scrape(snapshot, Format::Text)).expect("text that parses");
    assert_eq!(openmetrics, text, "both formats say the same");
    text
}

/// The values of one metric, with one label of each.
fn values(snapshot: &Snapshot, metric: &str, label: &str) -> Vec<(String, f64)> {
    samples(snapshot)
        .into_iter()
        .filter(|(name, ..)| name == metric)
        .map(|(_, mut labels, value)| (labels.remove(label).unwrap_or_default(), value))
        .collect()
}

#[test]
fn a_whole_scrape_in_openmetrics() {
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("metrics-openmetrics", scrape(&node::snapshot(), Format::OpenMetrics));
    });
}

#[test]
fn a_whole_scrape_in_text() {
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("metrics-text", scrape(&node::snapshot(), Format::Text));
    });
}

#[test]
fn promtool_finds_nothing_to_complain_of() {
    for snapshot in [node::snapshot(), node::hostile("a\"b\\c\nd 🦀 {x=\"y\"} # HELP")] {
        let text = scrape(&snapshot, Format::Text);
        if let Some((good, said)) = tools::output_of("promtool", &["check", "metrics"], &text) {
            assert!(good && said.is_empty(), "{said}");
        }
    }
}

#[test]
fn every_metric_of_the_catalogue_occurs_on_the_fixed_node() {
    let names: BTreeSet<String> = samples(&node::snapshot()).into_iter().map(|(name, ..)| name).collect();
    let catalogue: BTreeSet<String> = Name::ALL.iter().map(|name| name.metric().sample_name()).collect();
    assert_eq!(names, catalogue);
}

#[test]
fn without_a_snapshot_there_is_the_build_and_nothing_else() {
    let text = render(None, Budget::default(), Format::Text);
    let names: Vec<String> = parse(&text).expect("text that parses").into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["highwater_series_dropped", "highwater_build_info"]);
}

#[test]
fn a_filesystem_that_cannot_be_measured_has_no_numbers() {
    let mut snapshot = node::snapshot();
    for disk in &mut snapshot.sample.filesystems {
        disk.space = Reading::absent(AbsenceReason::TimedOut, "statfs /var/lib: no answer within 2s");
        disk.stuck = true;
    }
    for assessment in &mut snapshot.assessment.filesystems {
        (assessment.kubelet_percent, assessment.df_percent, assessment.fill_rate) = (None, None, None);
    }
    let left: BTreeSet<String> = samples(&snapshot)
        .into_iter()
        .map(|(name, ..)| name)
        .filter(|name| name.starts_with("highwater_filesystem_"))
        .collect();
    assert_eq!(left, BTreeSet::from(["highwater_filesystem_stuck".to_owned()]));
    assert_eq!(values(&snapshot, "highwater_filesystem_stuck", "device"), [("/dev/nvme0n1p1".to_owned(), 1.0)]);
    // A threshold in bytes stands in the configuration; one in percent needs the capacity.
    let thresholds = values(&snapshot, "highwater_eviction_threshold_bytes", "signal");
    assert!(thresholds.iter().all(|(signal, bytes)| signal == "imagefs.available" && *bytes == 10_737_418_240.0));
}

#[test]
fn a_kubelet_with_unreadable_settings_has_no_thresholds_and_only_the_full_disk_ahead() {
    let layer = node::new_capd().as_str().to_owned();
    let ours: BTreeSet<(String, String)> = samples(&node::snapshot())
        .into_iter()
        .filter(|(_, labels, _)| labels.get("layer") == Some(&layer))
        .map(|(name, mut labels, _)| (name, labels.remove("trigger").unwrap_or_default()))
        .collect();
    assert!(!ours.iter().any(|(name, _)| name.contains("_image_gc_") || name.contains("_eviction_")), "{ours:?}");
    assert!(ours.iter().all(|(_, trigger)| trigger.is_empty() || trigger == "disk_full"), "{ours:?}");
    assert!(ours.contains(&("highwater_headroom_bytes".to_owned(), "disk_full".to_owned())));
}

#[test]
fn after_a_minute_without_a_sample_nothing_is_said_of_the_disk() {
    let late = node::AT + Span::from_secs(61);
    let text = render(Some(&Report::new(&node::snapshot(), late)), Budget::default(), Format::Text);
    let samples = parse(&text).expect("text that parses");
    let about_layers: BTreeSet<&str> = samples
        .iter()
        .filter(|(_, labels, _)| labels.contains_key("layer") || labels.contains_key("device"))
        .map(|(name, ..)| name.as_str())
        .collect();
    assert_eq!(about_layers, BTreeSet::from(["highwater_source_age_seconds", "highwater_source_up"]));
    let up = samples.iter().filter(|(name, ..)| name == "highwater_source_up").map(|(.., value)| *value);
    assert_eq!(up.sum::<f64>(), 0.0);
}

#[test]
fn two_filesystems_of_one_name_are_told_apart_by_their_identity() {
    let mut snapshot = node::snapshot();
    let mut quota = snapshot.sample.filesystems[0].clone();
    quota.id = FilesystemId { capacity: Bytes::from_gib(10), ..quota.id };
    snapshot.sample.filesystems.push(quota);
    let names = |snapshot: &Snapshot| -> Vec<String> {
        values(snapshot, "highwater_filesystem_stuck", "mountpoint").into_iter().map(|(name, _)| name).collect()
    };
    let first = "/var/lib (8:1, 300647710720 bytes, 18350080 inodes)";
    let second = "/var/lib (8:1, 10737418240 bytes, 18350080 inodes)";
    assert_eq!(names(&snapshot), [first, second]);
    snapshot.sample.filesystems.reverse();
    assert_eq!(names(&snapshot), [second, first]);
}

#[test]
fn two_layers_of_one_name_are_counted_and_the_first_has_the_bytes() {
    let mut snapshot = node::snapshot();
    let twin = snapshot.sample.layers[2].clone();
    let assessment = snapshot.assessment.layers[2].clone();
    snapshot.sample.layers.push(twin);
    snapshot.assessment.layers.push(assessment);
    let name = node::old_capd().as_str().to_owned();
    let layers = values(&snapshot, "highwater_image_gc_enabled", "layer");
    assert_eq!(layers[1..], [(name.clone(), 1.0), (format!("{name}#2"), 1.0)]);
    assert!(
        values(&snapshot, "highwater_layer_exclusive_bytes", "layer").iter().all(|(layer, _)| !layer.ends_with("#2"))
    );
}

/// What each test pod holds.
fn jobs(snapshot: &Snapshot) -> Vec<(Labels, f64)> {
    let all = samples(snapshot).into_iter().filter(|(name, ..)| name == "highwater_job_used_bytes");
    all.map(|(_, labels, bytes)| (labels, bytes)).collect()
}

#[test]
fn a_test_pod_holds_what_its_layers_hold_together() {
    let held = |snapshot: &Snapshot| {
        let all = samples(snapshot).into_iter().filter(|(name, ..)| name == "highwater_layer_exclusive_bytes");
        all.filter(|(_, labels, _)| {
            labels["layer"].starts_with(node::dind().as_str()) && labels["component"] != "other"
        })
        .map(|(.., bytes)| bytes)
        .sum::<f64>()
    };
    let mut snapshot = node::snapshot();
    let [(labels, bytes)] = &jobs(&snapshot)[..] else { panic!("one pod: {:?}", jobs(&snapshot)) };
    assert_eq!((labels["pod_namespace"].as_str(), labels["pod"].as_str()), ("test-pods", "4f0c8a1e-prow"));
    assert!(
        labels["prow_job"] == "periodic-cluster-api-e2e-main" && labels.contains_key("prow_build_id"),
        "{labels:?}"
    );
    assert!(*bytes > 0.0);
    assert_eq!(*bytes, held(&snapshot));

    // A walk that has not been made tells nothing.
    for disk in &mut snapshot.sample.filesystems {
        disk.usage = Reading::not_read();
    }
    assert_eq!(jobs(&snapshot), []);
}

#[test]
fn what_is_in_a_pod_counts_for_that_one_whatever_it_is_called_further_in() {
    let mut snapshot = node::snapshot();
    let whole = jobs(&snapshot);
    // Whoever owns the cluster in a pod names the pods in it.
    let inner = &mut snapshot.sample.layers[2].origin;
    (inner.pod_namespace, inner.pod) = (Some("team-b".into()), Some("innocent".into()));
    (inner.prow_job, inner.prow_build_id) = (Some("release".into()), None);
    assert_eq!(jobs(&snapshot), whole);
    // A cluster in containers without a pod, as on a developer's machine.
    for layer in &mut snapshot.sample.layers[1..] {
        if layer.origin.pod.as_ref().is_some_and(|pod| pod.as_str() != "innocent") {
            (layer.origin.pod_namespace, layer.origin.pod) = (None, None);
        }
    }
    let [(labels, bytes)] = &jobs(&snapshot)[..] else { panic!("{:?}", jobs(&snapshot)) };
    assert_eq!((labels["pod"].as_str(), labels["prow_job"].as_str()), ("innocent", "release"));
    assert!(*bytes > 0.0 && *bytes < whole[0].1);
    // Names from a recording could name each other.
    let id = snapshot.sample.layers[2].id.clone();
    snapshot.sample.layers[1].parent = Some(id);
    assert_eq!(jobs(&snapshot).len(), 1);
}

#[test]
fn a_layer_that_came_after_the_walk_holds_an_unknown_amount_and_one_that_holds_nothing_holds_nothing() {
    let started = |ago: i64| {
        let mut snapshot = node::snapshot();
        for disk in &mut snapshot.sample.filesystems {
            disk.usage = disk.usage.clone().map(|mut usage| {
                usage.layers.retain(|held| held.layer != node::new_capd());
                usage
            });
        }
        for runtime in snapshot.sample.layers.iter_mut().filter_map(|layer| layer.runtime.as_mut()) {
            runtime.started_at = node::AT - Span::from_secs(ago);
        }
        let held = node::json(&snapshot);
        let held: serde_json::Value = serde_json::from_str(&held).expect("valid JSON");
        held["layers"][3]["exclusive_bytes"].clone()
    };
    // The walk ended 240 seconds before the sample.
    assert_eq!(started(239), serde_json::Value::Null);
    assert_eq!(started(241), 0);
}

#[test]
fn over_the_budget_the_least_urgent_layers_go_whole_and_are_counted() {
    let whole = samples(&node::snapshot()).len();
    let budget = Budget { total: whole - 1, ..Budget::default() };
    let text = render(Some(&node::report(&node::snapshot())), budget, Format::Text);
    let left = parse(&text).expect("text that parses");
    // Of the two layers without a kubelet's trigger, the disk is full for both at the same time; the later one goes.
    let gone = node::new_capd().as_str().to_owned();
    assert!(!left.iter().any(|(_, labels, _)| labels.get("layer") == Some(&gone)));
    let dropped = left.iter().find(|(name, ..)| name == "highwater_series_dropped").map(|(.., value)| *value);
    assert_eq!(dropped, Some(14.0));
    assert_eq!(left.len() + 14, whole);
}

#[test]
fn one_layer_cannot_have_more_than_its_share() {
    let budget = Budget { per_layer: 5, per_filesystem: 4, ..Budget::default() };
    let text = render(Some(&node::report(&node::snapshot())), budget, Format::Text);
    let left = parse(&text).expect("text that parses");
    let of = |label: &str, value: &str| {
        left.iter().filter(|(_, labels, _)| labels.get(label).is_some_and(|it| it == value)).count()
    };
    assert_eq!(of("layer", "host"), 5);
    assert_eq!(of("layer", node::new_capd().as_str()), 5);
    // The last line's filesystem labels also occur in layer_info.
    assert_eq!(left.iter().filter(|(name, ..)| name.starts_with("highwater_filesystem_")).count(), 4);
}

#[test]
fn hostile_names_are_carried_as_text() {
    for text in ["a\"b", "back\\slash", "line\nbreak", "{x=\"y\"} 1", "🦀", "", " ", "# EOF", "</script>"] {
        let clean = text.replace('\n', "\u{FFFD}");
        let devices = values(&node::hostile(text), "highwater_filesystem_stuck", "device");
        assert_eq!(devices, [(clean, 0.0)]);
    }
    let long = "x".repeat(10_000);
    let devices = values(&node::hostile(&long), "highwater_filesystem_stuck", "device");
    assert_eq!(devices[0].0.chars().count(), 253);
}

proptest! {
    #[test]
    fn whatever_the_names_are_the_scrape_parses_and_no_series_occurs_twice(text: String) {
        samples(&node::hostile(&text));
    }
}
