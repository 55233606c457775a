//! What does `explain` say of a fixed node, and of layers that are not there?

use crate::node;
use highwater::assess::{State, after_writing, assess};
use highwater::export::explain::{Question, json, table};
use highwater::sample::{AbsenceReason, Reading};
use highwater::snapshot::Snapshot;
use highwater::units::Bytes;

fn explain(snapshot: &Snapshot, layer: Option<&str>) -> String {
    let question = Question { layer, written: None };
    table::render(snapshot, node::now(), question, None).unwrap_or_else(|error| error.to_string())
}

#[test]
fn every_layer_with_a_kubelet_is_explained() {
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("explain-table", explain(&node::snapshot(), None));
    });
}

#[test]
fn the_json_of_one_layer() {
    let question = Question { layer: Some("capd-worker-old"), written: None };
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("explain-json", json::render(&node::snapshot(), node::now(), question).unwrap());
    });
}

#[test]
fn a_layer_may_be_named_by_an_end_that_no_other_has() {
    let snapshot = node::snapshot();
    assert!(
        explain(&snapshot, Some("worker-old"))
            .starts_with("host/test-pods/4f0c8a1e-prow/capd-worker-old (capd_node)\n")
    );
    assert!(explain(&snapshot, Some("host")).starts_with("host (host)\n"));
    let all = "host, host/test-pods/4f0c8a1e-prow, host/test-pods/4f0c8a1e-prow/capd-worker-old, \
               host/test-pods/4f0c8a1e-prow/capd-worker-new";
    assert_eq!(explain(&snapshot, Some("nowhere")), format!("no layer is called \"nowhere\"; the layers are: {all}"));
    let ambiguous = explain(&node::hostile("x"), Some("x"));
    assert!(ambiguous.starts_with("no layer is called"), "{ambiguous}");
    let mut twice = node::snapshot();
    twice.sample.layers[2].id = node::host().child(&["a", "b", "capd-worker-new"]);
    assert!(explain(&twice, Some("capd-worker-new")).starts_with("more than one layer ends in \"capd-worker-new\""));
}

#[test]
fn what_cannot_be_read_is_said() {
    let mut snapshot = node::snapshot();
    snapshot.sample.layers[2].images = Reading::absent(AbsenceReason::TimedOut, "ListImages: no answer within 2s");
    let text = explain(&snapshot, Some("worker-old"));
    assert!(text.contains("Its images could not be read: timed_out: ListImages: no answer within 2s."), "{text}");
    assert!(!text.contains("Certain"), "{text}");
    assert!(explain(&snapshot, Some("4f0c8a1e-prow")).contains("No kubelet: nothing deletes images here."));
}

#[test]
fn on_a_node_just_seen_last_use_is_not_known() {
    let mut snapshot = node::snapshot();
    let (assessment, state) = assess(&snapshot.sample, State::default());
    snapshot.assessment = assessment;
    let text = explain(&snapshot, Some("worker-old"));
    assert!(text.contains("The last use of 3 images is not known"), "{text}");

    // 20 GiB more cross the line, and both of the greatest images go.
    let sample = snapshot.sample.clone();
    snapshot.assessment = after_writing(&sample, &state, snapshot.assessment, Bytes::from_gib(20));
    let question = Question { layer: Some("worker-old"), written: Some(Bytes::from_gib(20)) };
    let text = table::render(&snapshot, node::now(), question, None).unwrap();
    assert!(text.contains("Image GC: after 20.0 GiB more, the line is crossed by 16.8 GiB"), "{text}");
    assert!(
        text.contains(
            "It wants 28.0 GiB to get from the high threshold down to 80% (kubelet), more than it can delete."
        ),
        "{text}"
    );
}
