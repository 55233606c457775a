//! What does `explain` say of a fixed node, and of layers that are not there?

use crate::node;
use highwater::assess::{State, assess};
use highwater::demo::Scenario;
use highwater::export::{explain, json};
use highwater::model::Trigger;
use highwater::model::deletions::Score;
use highwater::report::Question;
use highwater::sample::{AbsenceReason, Reading};
use highwater::snapshot::Snapshot;
use highwater::time::{Span, Timestamp};
use highwater::units::Bytes;
use std::collections::{BTreeMap, BTreeSet};

fn explained(snapshot: &Snapshot, layer: Option<&str>) -> String {
    asked(snapshot, Question { layer, written: None })
}

fn asked(snapshot: &Snapshot, question: Question<'_>) -> String {
    match node::explain(snapshot, question) {
        Ok(explanation) => explain::render(&explanation, None),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_layer_with_a_kubelet_is_explained() {
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("explain-table", explained(&node::snapshot(), None));
    });
}

#[test]
fn the_json_of_one_layer() {
    let question = Question { layer: Some("capd-worker-old"), written: None };
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("explain-json", json::line(&node::explain(&node::snapshot(), question).unwrap()));
    });
}

#[test]
fn a_layer_may_be_named_by_an_end_that_no_other_has() {
    let snapshot = node::snapshot();
    assert!(
        explained(&snapshot, Some("worker-old"))
            .starts_with("host/test-pods/4f0c8a1e-prow/capd-worker-old (capd_node)\n")
    );
    assert!(explained(&snapshot, Some("host")).starts_with("host (host)\n"));
    let all = "host, host/test-pods/4f0c8a1e-prow, host/test-pods/4f0c8a1e-prow/capd-worker-old, \
               host/test-pods/4f0c8a1e-prow/capd-worker-new";
    assert_eq!(explained(&snapshot, Some("nowhere")), format!("no layer is called \"nowhere\"; the layers are: {all}"));
    let ambiguous = explained(&node::hostile("x"), Some("x"));
    assert!(ambiguous.starts_with("no layer is called"), "{ambiguous}");
    let mut twice = node::snapshot();
    twice.sample.layers[2].id = node::host().child(&["a", "b", "capd-worker-new"]);
    assert!(explained(&twice, Some("capd-worker-new")).starts_with("more than one layer ends in \"capd-worker-new\""));
}

#[test]
fn what_cannot_be_read_is_said() {
    let mut snapshot = node::snapshot();
    snapshot.sample.layers[2].images = Reading::absent(AbsenceReason::TimedOut, "ListImages: no answer within 2s");
    let text = explained(&snapshot, Some("worker-old"));
    assert!(text.contains("Its images could not be read: timed_out: ListImages: no answer within 2s."), "{text}");
    assert!(!text.contains("Certain"), "{text}");
    assert!(explained(&snapshot, Some("4f0c8a1e-prow")).contains("No kubelet: nothing deletes images here."));
}

#[test]
fn on_a_node_just_seen_last_use_is_not_known() {
    let mut snapshot = node::snapshot();
    (snapshot.assessment, _) = assess(&snapshot.sample, State::default());
    let text = explained(&snapshot, Some("worker-old"));
    assert!(text.contains("The last use of 3 images is not known"), "{text}");

    // 20 GiB more cross the threshold, and both of the largest images are deleted.
    let question = Question { layer: Some("worker-old"), written: Some(Bytes::from_gib(20)) };
    let text = asked(&snapshot, question);
    assert!(text.contains("Image GC: after 20.0 GiB more, its threshold is crossed by 16.8 GiB"), "{text}");
    assert!(
        text.contains(
            "GC must free 28.0 GiB to get from the high threshold down to 80% (kubelet), more than it can delete."
        ),
        "{text}"
    );
}

/// The demonstration has rules of its own, so that it can disagree with the model.
#[test]
fn what_the_kubelets_of_the_demonstration_delete_was_predicted_and_is_counted() {
    let agent = node::snapshot().agent;
    for seed in 1..=2 {
        let start = Timestamp::from_micros(1_795_500_000_000_000);
        let mut scenario = Scenario::new(seed, start);
        let mut state = State::default();
        let mut before: Option<Snapshot> = None;
        let (mut bursts, mut certain) = (0, 0);
        let mut last_seen = BTreeMap::new();
        while let Some(sample) = scenario.next().filter(|sample| sample.at < start + Span::from_secs(80 * 60 - 10)) {
            let (assessment, next) = assess(&sample, state);
            state = next;
            for layer in &sample.layers {
                let earlier =
                    before.iter().flat_map(|snapshot| snapshot.sample.layers.iter().zip(&snapshot.assessment.layers));
                let Some((was, foretold)) = earlier.into_iter().find(|(was, _)| was.id == layer.id) else { continue };
                let (Some(had), Some(has)) = (was.images.value(), layer.images.value()) else { continue };
                let gone: BTreeSet<_> = had
                    .images
                    .iter()
                    .map(|image| image.id.clone())
                    .filter(|id| !has.images.iter().any(|image| image.id == *id))
                    .collect();
                if gone.is_empty() {
                    continue;
                }
                let predictions = &foretold.images.as_ref().unwrap().predictions;
                let score = Score::of(&predictions[0].verdicts, &gone);
                assert!(score.holds(), "seed {seed}: {}: {score:?}", layer.id);
                bursts += 1;
                certain += score.certain_gone;
                last_seen.insert(layer.id.clone(), gone.len());
            }
            let observed: usize = assessment
                .layers
                .iter()
                .filter_map(|layer| layer.observed.get(&Some(Trigger::ImageGc)))
                .map(|seen| usize::try_from(seen.images).unwrap())
                .sum();
            assert_eq!(observed, last_seen.values().sum::<usize>(), "seed {seed} at {}", sample.at);
            before = Some(Snapshot { sample, assessment, agent: agent.clone() });
        }
        assert!(bursts > 0, "seed {seed}: nothing was deleted");
        assert!(certain >= 6, "seed {seed}: {certain} of the deleted were certain");
    }
}
