//! What does a series of samples of the fixed node mean: when do kubelets act, and who deleted what?

use crate::node;
use highwater::assess::{Assessment, ExpectedTrigger, ImageState, LastUsed, Observed, State, assess};
use highwater::layer::LayerId;
use highwater::model::Trigger;
use highwater::model::recovery::{Critical, Recoverable};
use highwater::sample::{KubeletSettings, Reading, Sample, SettingsFile, StoredLayer};
use highwater::time::Span;
use highwater::units::Bytes;
use highwater::untrusted::Label;

/// The fixed node so many seconds before its sample, with so much available; its kubelets started 7,000 s before it, and look at
/// 200.3 s after it and every 300 s.
fn at(seconds_before: i64, available: Bytes) -> Sample {
    let mut sample = node::snapshot().sample;
    sample.at = node::AT - Span::from_secs(seconds_before);
    if let Reading::Present { value, at } = &mut sample.filesystems[0].space {
        (value.available, *at) = (available, sample.at);
    }
    for layer in &mut sample.layers {
        if let Reading::Present { at, .. } = &mut layer.images {
            *at = sample.at;
        }
    }
    sample
}

fn last(samples: impl IntoIterator<Item = Sample>) -> Assessment {
    let mut state = State::default();
    let mut last = None;
    for sample in samples {
        let (assessment, next) = assess(&sample, state);
        (last, state) = (Some(assessment), next);
    }
    let Some(last) = last else { panic!("there is a sample") };
    last
}

const OLD_CAPD: usize = 2;

#[test]
fn a_kubelet_acts_at_its_next_check_after_the_crossing_and_a_full_disk_at_once() {
    // 10 MiB/s: the line, 3.2 GiB away, is crossed in about 327 s; the check before that sees nothing.
    let filling = |seconds: i64| Bytes::from_mib(48 * 1_024 + 10 * u64::try_from(seconds).unwrap());
    let assessment = last((0..=60).rev().map(|round| at(round * 5, filling(round * 5))));
    let host = &assessment.layers[0];
    let of = |trigger: Trigger| host.triggers.iter().find(|found| found.trigger == trigger).unwrap();
    let crossing = of(Trigger::ImageGc).forecast.unwrap().p50.unwrap().as_secs_f64();
    assert!((250.0..400.0).contains(&crossing), "{crossing}");
    let action = of(Trigger::ImageGc).action.unwrap();
    assert_eq!(action.p50.map(|span| span.micros() / 1_000_000), Some(500));
    let full = of(Trigger::DiskFull);
    assert_eq!(full.action.unwrap().p50, full.forecast.unwrap().p50);
}

/// The kubelet of the host with a soft threshold of 25 % (70 GiB) and ten minutes of grace besides the hard ones of the default.
fn with_soft_eviction(mut sample: Sample) -> Sample {
    let entry = |value: &str| Some([("nodefs.available".to_owned(), Some(value.to_owned()))].into());
    let kubelet = sample.layers[0].kubelet.as_mut().unwrap();
    kubelet.config = kubelet.config.clone().map(|mut config| {
        // A file: a kubelet without one has no hard thresholds by default.
        let settings = KubeletSettings {
            eviction_soft: entry("25%"),
            eviction_soft_grace_period: entry("10m"),
            ..KubeletSettings::default()
        };
        config.file = Some(SettingsFile { path: Label::new("/var/lib/kubelet/config.yaml"), settings });
        config
    });
    sample
}

/// The lines of pod eviction of the host, with when they are crossed and acted on: the hard one first.
fn pod_evictions(assessment: &Assessment) -> Vec<(u64, f64, f64)> {
    let found = assessment.layers[0].triggers.iter().filter(|found| found.trigger == Trigger::PodEviction);
    let seconds = |span: Option<Span>| span.map_or(f64::INFINITY, Span::as_secs_f64);
    let times = found.map(|found| {
        let (crossing, action) = (found.forecast.unwrap().p50, found.action.unwrap().p50);
        (found.threshold >> 30, seconds(crossing), seconds(action))
    });
    times.collect()
}

#[test]
fn a_soft_eviction_waits_for_its_grace_period_and_a_hard_one_for_ten_seconds() {
    // 20 MiB/s, steadily: 10 GiB to the soft line of 70 GiB, and many more to the hard one.
    let filling = |seconds: i64| Bytes::from_mib(80 * 1_024 + 20 * u64::try_from(seconds).unwrap());
    let round = |round: i64| with_soft_eviction(at(round * 5, filling(round * 5)));
    let [hard, soft] = pod_evictions(&last((0..=60).rev().map(round)))[..] else { panic!("two lines") };
    assert_eq!(soft.0, 70);
    assert!(hard.0 < 45 && hard.1 > soft.1, "{hard:?} {soft:?}");
    assert!((600.0..=625.0).contains(&(soft.2 - soft.1)), "{soft:?}");
    assert!((0.0..=10.1).contains(&(hard.2 - hard.1)), "{hard:?}");

    // Below the soft line for seven minutes: three are left; for eleven: the next pass acts.
    let below = |rounds: i64| {
        let level = |round| if round <= rounds { Bytes::from_gib(60) } else { Bytes::from_gib(80) };
        let found = pod_evictions(&last((0..=200).rev().map(|round| with_soft_eviction(at(round * 5, level(round))))));
        let soft = found[1];
        assert!(soft.1 <= 0.0, "{soft:?}");
        soft.2
    };
    assert!((170.0..=205.0).contains(&below(84)), "{}", below(84));
    assert!((0.0..=10.1).contains(&below(132)), "{}", below(132));
}

#[test]
fn a_line_that_is_crossed_is_acted_on_at_the_next_check() {
    let assessment = last((0..=60).rev().map(|round| at(round * 5, Bytes::from_gib(40))));
    let gc = &assessment.layers[OLD_CAPD].triggers[0];
    assert_eq!(gc.forecast.unwrap().p50, Some(Span::ZERO));
    assert_eq!(gc.action.unwrap().p50.map(|span| span.micros() / 1_000_000), Some(200));
}

#[test]
fn a_deletion_is_counted_for_the_check_that_tripped_and_else_for_nobody() {
    let with = |seconds_before: i64, available: Bytes, gone: bool| {
        let mut sample = at(seconds_before, available);
        let images = &mut sample.layers[OLD_CAPD].images;
        *images = images.clone().map(|mut store| {
            store.images.retain(|image| !gone || image.size != Some(Bytes::from_mib(7_000)));
            store
        });
        sample
    };
    let observed = |samples: Vec<Sample>| last(samples).layers[OLD_CAPD].observed.clone();
    let one = Observed { runs: 1, images: 1, bytes: Bytes::from_mib(7_000) };
    // A check comes 99.7 s before the sample.
    let crossed = Bytes::from_gib(40);
    let by_gc = observed(vec![with(120, crossed, false), with(105, crossed, false), with(90, crossed, true)]);
    assert_eq!(by_gc, [(Some(Trigger::ImageGc), one)].into());
    let far_below = observed(vec![with(120, Bytes::from_gib(90), false), with(90, Bytes::from_gib(90), true)]);
    assert_eq!(far_below, [(None, one)].into());
    let between_checks = observed(vec![with(60, crossed, false), with(30, crossed, true)]);
    assert_eq!(between_checks, [(None, one)].into());
    // A list that was cut tells nothing.
    let mut cut = with(90, crossed, true);
    cut.layers[OLD_CAPD].images = cut.layers[OLD_CAPD].images.clone().map(|mut store| {
        store.complete = false;
        store
    });
    assert_eq!(observed(vec![with(105, crossed, false), cut]), [].into());
}

#[test]
fn a_kubelet_that_restarts_has_forgotten_its_images() {
    let images_of = |assessment: &Assessment| assessment.layers[OLD_CAPD].images.clone().unwrap();
    let watched = || (0..=40).rev().map(|round| at(60 + round * 30, Bytes::from_gib(48)));
    let used = |assessment: &Assessment| images_of(assessment).images[1].last_used;
    let before = last(watched());
    assert!(matches!(used(&before), LastUsed::At(_)));
    assert!(images_of(&before).images.iter().filter(|note| note.state == ImageState::Evictable).all(|note| note.seen));
    // Started 10 s before the sample: its first pass is over, and its minimum age counts anew.
    let mut restarted = at(0, Bytes::from_gib(48));
    restarted.layers[OLD_CAPD].kubelet.as_mut().unwrap().started_at = node::AT - Span::from_secs(10);
    let after = last(watched().chain([restarted]));
    assert_eq!(images_of(&after).followed_since, Some(node::AT));
    assert_ne!(used(&after), used(&before));
}

#[test]
fn a_deletion_that_was_seen_sets_the_grid_of_checks_anew() {
    // 100 days of drift: the check of 99.7 s before the sample may as well be a minute later.
    let with = |seconds_before: i64, gone: bool| {
        let mut sample = at(seconds_before, Bytes::from_gib(40));
        sample.layers[OLD_CAPD].kubelet.as_mut().unwrap().started_at = node::AT - Span::from_secs(100 * 86_400);
        let images = &mut sample.layers[OLD_CAPD].images;
        *images = images.clone().map(|mut store| {
            store.images.retain(|image| !gone || image.size != Some(Bytes::from_mib(7_000)));
            store
        });
        sample
    };
    let prediction = |assessment: &Assessment| {
        let layer = &assessment.layers[OLD_CAPD];
        let at = layer.images.as_ref().unwrap().predictions[0].at;
        (layer.next_image_gc_at.unwrap(), at.latest.since(at.earliest))
    };
    let (before, width) = prediction(&last([with(290, false)]));
    assert!(width > Span::from_secs(250), "{width}");
    // Seen between two lists 7 s apart, around a time of the schedule as it is expected.
    let center = node::AT.since(before).micros() / 1_000_000;
    let samples = [with(center + 4, false), with(center - 3, true), with(0, true)];
    let (after, width) = prediction(&last(samples));
    assert_eq!(width, Span::from_millis(7_009));
    assert!(after.since(before).micros().abs_diff(300_000_000) < 5_000_000, "{before} {after}");
}

/// Seen with a kubelet that was restarted 8 s after its check: the list without the images came to be looked at when it was gone.
#[test]
fn a_kubelet_that_has_ended_since_has_deleted_what_went_at_its_check() {
    let check = last([at(200, Bytes::from_gib(40))]).layers[OLD_CAPD].next_image_gc_at.unwrap();
    let check = node::AT.since(check).micros() / 1_000_000;
    let with = |seconds_before: i64, gone: bool, kubelet: bool| {
        let mut sample = at(seconds_before, Bytes::from_gib(40));
        let layer = &mut sample.layers[OLD_CAPD];
        layer.kubelet = layer.kubelet.take().filter(|_| kubelet);
        layer.images = layer.images.clone().map(|mut store| {
            store.images.retain(|image| !gone || image.size != Some(Bytes::from_mib(7_000)));
            store
        });
        sample
    };
    let observed = |samples: [Sample; 3]| last(samples).layers[OLD_CAPD].observed.clone();
    let ended = observed([with(check + 40, false, true), with(check + 3, false, true), with(check - 5, true, false)]);
    assert_eq!(ended.keys().collect::<Vec<_>>(), [&Some(Trigger::ImageGc)]);
    // One that had ended before has not.
    let ended = observed([with(check + 40, false, true), with(check + 15, false, false), with(check - 5, true, false)]);
    assert_eq!(ended.keys().collect::<Vec<_>>(), [&None]);
}

#[test]
fn what_the_user_calls_critical_and_what_may_never_be_pulled_is_said() {
    let mut sample = at(0, Bytes::from_gib(48));
    if let Reading::Present { value, .. } = &mut sample.layers[OLD_CAPD].kubelet.as_mut().unwrap().config {
        value.never_pulled = vec!["example.com/tools/webhook:v1".into()];
    }
    let patterns = ["example.com/capi/*".to_owned()].as_slice().into();
    let (assessment, _) = assess(&sample, State::default().with_critical_images(&patterns));
    let notes = assessment.layers[OLD_CAPD].images.clone().unwrap().images;
    let names =
        sample.layers[OLD_CAPD].images.value().unwrap().images.iter().map(|image| image.display_name().to_owned());
    let said: Vec<_> = names.zip(&notes).map(|(name, note)| (name, note.critical, note.recoverable)).collect();
    let of = |name: &str| {
        said.iter().find(|(known, ..)| known == name).map(|(_, critical, recoverable)| (*critical, *recoverable))
    };
    assert_eq!(of("example.com/capi/controller:dev"), Some((Some(Critical::Pattern), Recoverable::No)));
    assert_eq!(of("example.com/tools/webhook:v1"), Some((None, Recoverable::No)));
    assert_eq!(of("registry.k8s.io/kube-proxy:v1.37.2"), Some((Some(Critical::KubeSystem), Recoverable::Yes)));
}

/// The position of a layer, a trigger, and the position of a layer that spares it.
type Short = (usize, Trigger, Option<(usize, bool)>);

/// What is expected to fire on the disk, in order.
fn expected_triggers(assessment: &Assessment) -> Vec<Short> {
    let position = |id: &LayerId| assessment.layers.iter().position(|layer| layer.id == *id).unwrap();
    let of = |strike: &ExpectedTrigger| {
        let spared = strike.preempted_by.as_ref().map(|spared| (position(&spared.layer), spared.is_certain));
        (position(&strike.layer), strike.trigger, spared)
    };
    assessment.filesystems[0].expected_triggers.iter().map(of).collect()
}

#[test]
fn the_kubelet_that_looks_first_spares_the_others_if_it_has_something_to_delete() {
    // Crossed by 4.8 GiB, and as full as it was. The host's kubelet has nothing to delete, the other one 24 GiB.
    let with = |host_looks_later: i64| {
        last((0..=20).rev().map(|round| {
            let mut sample = at(round * 5, Bytes::from_gib(40));
            let host = sample.layers[0].kubelet.as_mut().unwrap();
            host.started_at = host.started_at + Span::from_secs(host_looks_later);
            sample
        }))
    };
    let (gc, full) = (Trigger::ImageGc, Trigger::DiskFull);
    assert_eq!(expected_triggers(&with(50)), [(OLD_CAPD, gc, None), (0, gc, Some((OLD_CAPD, true))), (0, full, None)]);
    assert_eq!(expected_triggers(&with(-50)), [(0, gc, None), (OLD_CAPD, gc, None), (0, full, None)]);
}

#[test]
fn one_that_may_look_first_or_frees_enough_only_perhaps_spares_perhaps() {
    let with = |free: bool| {
        last((0..=20).rev().map(|round| {
            let mut sample = at(round * 5, Bytes::from_gib(40));
            let host = sample.layers[0].kubelet.as_mut().unwrap();
            host.started_at = host.started_at + Span::from_secs(50);
            let images = &mut sample.layers[OLD_CAPD].images;
            *images = images.clone().map(|mut store| {
                // Two images of one size, of which one is enough; and one frees 200 MiB, the other 14 GiB.
                store.images.retain(|image| image.size != Some(Bytes::from_mib(900)));
                for (image, frees) in store.images.iter_mut().rev().zip([if free { 14_000 } else { 200 }, 200]) {
                    image.size = Some(Bytes::from_gib(20));
                    image.layers =
                        Some([StoredLayer { id: image.tags[0].clone(), bytes: Bytes::from_mib(frees) }].into());
                }
                store
            });
            sample
        }))
    };
    assert_eq!(expected_triggers(&with(true))[1], (0, Trigger::ImageGc, Some((OLD_CAPD, false))));
    assert_eq!(expected_triggers(&with(false))[1], (0, Trigger::ImageGc, None));
}

#[test]
fn a_kubelet_that_finds_nothing_to_delete_spares_nobody() {
    // Image GC of either layer comes long before the disk is full, and finds every image pinned.
    let assessment = last((0..=60).rev().map(|round| {
        let mut sample = at(round * 5, Bytes::from_mib(50_000 + 40 * round.unsigned_abs()));
        for layer in &mut sample.layers {
            layer.images = layer.images.clone().map(|mut store| {
                store.images.iter_mut().for_each(|image| image.pinned = true);
                store
            });
        }
        sample
    }));
    assert!(assessment.filesystems[0].expected_triggers.iter().all(|strike| strike.acts_in.is_some()));
    let (gc, full) = (Trigger::ImageGc, Trigger::DiskFull);
    assert_eq!(expected_triggers(&assessment), [(0, gc, None), (OLD_CAPD, gc, None), (0, full, None)]);
}
