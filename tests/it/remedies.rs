//! What helps a layer that would lose images for good, in which order, and with which commands?

use crate::node;
use highwater::assess::remedies::{Case, Change, Field, Raise, Remedies, Remedy, remedies};
use highwater::assess::{Projection, Timeline};
use highwater::export::{explain, json};
use highwater::forecast::Forecast;
use highwater::layer::LayerKind;
use highwater::model::pins::Pinning;
use highwater::model::recovery::Recoverable;
use highwater::model::victims::{Outcome, SafeReason};
use highwater::model::{Origin, Signal};
use highwater::report::Question;
use highwater::sample::{
    Component, KubeletConfig, KubeletSettings, KubeletVersion, LayerOrigin, LayerSample, LayerUsage, Reading,
    RuntimeKind, SettingsFile,
};
use highwater::snapshot::Snapshot;
use highwater::units::{Bytes, Ratio};
use highwater::untrusted::Label;

/// The old CAPD node of the fixed one.
const OLD: usize = 2;
const FILE: &str = "/var/lib/kubelet/config.yaml";

/// The fixed node, changed, and with a kubelet in the old node that has an empty file of settings.
fn snapshot(change: impl FnOnce(&mut LayerSample)) -> Snapshot {
    let mut snapshot = node::snapshot();
    let layer = &mut snapshot.sample.layers[OLD];
    let settings = KubeletSettings::default();
    let config =
        KubeletConfig { file: Some(SettingsFile { path: Label::new(FILE), settings }), ..KubeletConfig::default() };
    layer.kubelet.as_mut().unwrap().config = Reading::present(config, node::AT);
    change(layer);
    snapshot.assessment = node::seen_for_twenty_minutes(&snapshot.sample);
    snapshot
}

/// A disk of which so much stays available for six hours, and less than that for shorter.
fn timeline(floor: Bytes) -> Timeline {
    let ahead = |available, probability: f64| Projection {
        available,
        forecast: Forecast {
            p10: None,
            p50: None,
            p90: None,
            probability: [0.0, 0.0, 0.0, probability].map(Ratio::new),
        },
    };
    let above = floor.saturating_add(Bytes::from_gib(1));
    Timeline { past: Vec::new(), ahead: vec![ahead(above, 0.1), ahead(floor, 0.099), ahead(Bytes::ZERO, 0.0)] }
}

fn with_course(snapshot: &Snapshot, timeline: Option<&Timeline>, written: Bytes) -> Option<Remedies> {
    let assessment = &snapshot.assessment.layers[OLD];
    remedies(Case {
        sample: &snapshot.sample,
        layer: &snapshot.sample.layers[OLD],
        assessment,
        timeline,
        predictions: &assessment.images.as_ref().unwrap().predictions,
        written,
    })
}

fn of(snapshot: &Snapshot) -> Option<Remedies> {
    with_course(snapshot, None, Bytes::ZERO)
}

fn names(remedies: &Remedies) -> Vec<&'static str> {
    let name = |remedy: &Remedy| match remedy {
        Remedy::Pin(pin) if pin.is_certain => "pin",
        Remedy::Pin(_) => "pin perhaps",
        Remedy::MakeRoom(_) => "make room",
        Remedy::RaiseThresholds(_) => "raise",
        Remedy::SwitchOff(_) => "switch off",
    };
    remedies.best_first.iter().map(name).collect()
}

fn pinned(remedies: Option<Remedies>) -> Option<Vec<String>> {
    remedies?.best_first.iter().find_map(|remedy| match remedy {
        Remedy::Pin(pin) => Some(pin.images.iter().map(|id| id.as_str().replace("sha256:", "")).collect()),
        _ => None,
    })
}

#[test]
fn just_the_fatal_images_that_would_go_are_pinned() {
    let found = snapshot(|_| ());
    let fatal = ["example.com/capi/controller:dev", "workload:e2e"].map(str::to_owned);
    assert_eq!(pinned(of(&found)), Some(fatal.to_vec()));

    // Saved only by another: pinned as well, since that one will stay then.
    let with = |outcomes: [Outcome; 2]| {
        let mut changed = found.clone();
        let images = changed.assessment.layers[OLD].images.as_mut().unwrap();
        for prediction in &mut images.predictions {
            (prediction.verdicts[2].outcome, prediction.verdicts[4].outcome) = (outcomes[0], outcomes[1]);
        }
        pinned(of(&changed))
    };
    let safe = Outcome::Safe;
    let first = || Some(vec!["example.com/capi/controller:dev".to_owned()]);
    assert_eq!(with([safe(SafeReason::TooYoung), safe(SafeReason::NotNeeded)]), Some(fatal.to_vec()));
    assert_eq!(with([safe(SafeReason::TooYoung), safe(SafeReason::InUse)]), first());
    assert_eq!(with([safe(SafeReason::TooYoung), safe(SafeReason::Pinned)]), first());
    assert_eq!(with([safe(SafeReason::NotNeeded), safe(SafeReason::NotNeeded)]), None, "nothing is lost");
}

#[test]
fn where_nothing_is_lost_for_good_nothing_has_to_help() {
    let mut snapshot = snapshot(|_| ());
    for note in &mut snapshot.assessment.layers[OLD].images.as_mut().unwrap().images {
        (note.recoverable, note.critical) = (Recoverable::Yes, None);
    }
    assert_eq!(of(&snapshot), None);
    let text = explain::render(&node::explanation(&snapshot), None);
    assert!(!text.contains("What helps"), "{text}");
    let page = node::page(&snapshot);
    assert!(page.contains("webhook") && !page.contains("id=\"remedies\""), "{page}");
}

#[test]
fn what_is_best_comes_first() {
    let runtime = |version: &str| {
        let version = Some(Label::new(version));
        move |layer: &mut LayerSample| layer.runtime.as_mut().unwrap().version = version
    };
    let order = |found: &Snapshot| {
        let found = of(found).unwrap();
        (found.pinning, names(&found))
    };
    assert_eq!(order(&snapshot(|_| ())), (Pinning::Honoured, vec!["pin", "switch off", "raise"]));
    let too_old = order(&snapshot(runtime("v1.7.13")));
    assert_eq!(too_old, (Pinning::IgnoredByRuntime, vec!["switch off", "raise"]));
    let of_no_version = order(&snapshot(runtime("main")));
    assert_eq!(of_no_version, (Pinning::Unknown, vec!["switch off", "raise", "pin perhaps"]));
    let old_kubelet = snapshot(|layer| {
        layer.kubelet.as_mut().unwrap().version = Some(KubeletVersion { release: "v1.20.2".into(), origin: None });
    });
    assert_eq!(order(&old_kubelet), (Pinning::IgnoredByKubelet, vec!["switch off", "raise"]));
    for kind in [LayerKind::Host, LayerKind::NodeContainer, LayerKind::K3dNode] {
        let found = order(&snapshot(|layer| layer.kind = kind));
        assert_eq!(found.1, ["pin", "raise"], "{kind}: who knows how long it lives?");
    }
}

#[test]
fn the_pod_that_holds_most_is_another_one_with_all_that_is_in_it() {
    let mut snapshot = snapshot(|_| ());
    let holder = |snapshot: &Snapshot| {
        of(snapshot).unwrap().best_first.into_iter().find_map(|remedy| match remedy {
            Remedy::MakeRoom(holder) => Some((holder.layer.to_string(), holder.held)),
            _ => None,
        })
    };
    assert_eq!(holder(&snapshot), None, "its own pod and the node hold all");
    let pod = |name: &str| LayerOrigin {
        pod_namespace: Some("ci".into()),
        pod: Some(Label::new(name)),
        ..LayerOrigin::default()
    };
    let mut add = |parent: &str, parts: &[&str], pod: LayerOrigin, gib: u64| {
        let id = highwater::layer::LayerId::from(parent).child(parts);
        let like = snapshot.sample.layers[1].clone();
        snapshot.sample.layers.push(LayerSample { id: id.clone(), parent: Some(parent.into()), origin: pod, ..like });
        let Reading::Present { value, .. } = &mut snapshot.sample.filesystems[0].usage else { panic!("no walk") };
        let components = [(Component::Store, Bytes::from_gib(gib)), (Component::Other, Bytes::from_gib(500))].into();
        value.layers.push(LayerUsage { layer: id, components });
    };
    add("host", &["ci", "small"], pod("small"), 7);
    add("host", &["ci", "great"], pod("great"), 5);
    add("host/ci/great", &["node"], pod("of-its-own-cluster"), 6);
    assert_eq!(holder(&snapshot), Some(("host/ci/great".to_owned(), Bytes::from_gib(11))));
    let text = explain::render(&node::explanation(&snapshot), None);
    assert!(text.contains("\n         kubectl --namespace ci delete pod great\n"), "{text}");
}

fn raise(snapshot: &Snapshot, timeline: Option<&Timeline>, written: Bytes) -> Option<Raise> {
    with_course(snapshot, timeline, written)?.best_first.into_iter().find_map(|remedy| match remedy {
        Remedy::RaiseThresholds(raise) => Some(raise),
        _ => None,
    })
}

fn values(changes: &[Change]) -> Vec<(Field, &str)> {
    changes.iter().map(|change| (change.field, change.value.as_str())).collect()
}

#[test]
fn thresholds_are_raised_just_beyond_what_is_foreseen_and_eviction_with_them() {
    let found = snapshot(|_| ());
    let at = |gib| raise(&found, Some(&timeline(Bytes::from_gib(gib))), Bytes::ZERO);
    // 280 GiB, of which 48 are available; 85 is the line of 44.8.
    assert_eq!(at(45), None, "what is foreseen does not reach it");
    let raised = at(40).unwrap();
    assert_eq!((raised.threshold, raised.suffices), (Bytes::new(42_090_679_501), Some(true)));
    let expected = [
        (Field::HighThreshold, "87"),
        (Field::LowThreshold, "82"),
        // Written down for the first time, the map replaces the defaults.
        (Field::EvictionHardMemory, "100Mi"),
        (Field::EvictionHard(Signal::NodefsAvailable), "7%"),
        (Field::EvictionHard(Signal::NodefsInodesFree), "5%"),
        (Field::EvictionHard(Signal::ImagefsAvailable), "7%"),
        (Field::EvictionHard(Signal::ImagefsInodesFree), "5%"),
    ];
    assert_eq!(values(&raised.changes), expected);
    assert!(raised.changes.iter().all(|change| change.place == Origin::File(Label::new(FILE))));

    let least = at(3).unwrap();
    assert_eq!((values(&least.changes)[0].1, least.suffices), ("95", Some(false)));
    let unknown = raise(&found, None, Bytes::ZERO).unwrap();
    assert_eq!((values(&unknown.changes)[0].1, unknown.suffices), ("95", None));
    // What is to be written comes on top; with 32 GiB more, 16 are left, less than 95 leaves.
    assert_eq!(raise(&found, Some(&timeline(Bytes::from_gib(45))), Bytes::from_gib(5)).unwrap().suffices, Some(true));
    assert_eq!(raise(&found, None, Bytes::from_gib(32)), None);
}

#[test]
fn a_setting_is_changed_where_it_stands() {
    let found = snapshot(|layer| {
        let config = layer.kubelet.as_mut().unwrap().config.clone();
        layer.kubelet.as_mut().unwrap().config = config.map(|mut config| {
            config.flags.image_gc_high_threshold_percent = Some(90);
            let hard = |signal: &str, value: &str| Some([(signal.to_owned(), Some(value.to_owned()))].into());
            config.drop_ins = vec![SettingsFile {
                path: Label::new("/etc/kubelet.d/1.conf"),
                settings: KubeletSettings {
                    eviction_hard: hard("imagefs.available", "20Gi"),
                    ..KubeletSettings::default()
                },
            }];
            config
        });
    });
    let found = raise(&found, None, Bytes::ZERO).unwrap();
    let places: Vec<(Field, &str)> = found.changes.iter().map(|change| (change.field, change.place.as_str())).collect();
    assert!(places.contains(&(Field::HighThreshold, "flag")), "{places:?}");
    assert!(places.contains(&(Field::LowThreshold, "file")), "{places:?}");
    assert!(places.contains(&(Field::EvictionHard(Signal::ImagefsAvailable), "drop-in")), "{places:?}");
}

#[test]
fn switched_off_is_everything_by_which_images_go() {
    let found = snapshot(|layer| {
        let config = layer.kubelet.as_mut().unwrap().config.clone();
        layer.kubelet.as_mut().unwrap().config = config.map(|mut config| {
            config.file.as_mut().unwrap().settings.image_maximum_gc_age =
                Some(highwater::time::Span::from_secs(86_400));
            config
        });
    });
    let off = of(&found).unwrap().best_first.into_iter().find_map(|remedy| match remedy {
        Remedy::SwitchOff(changes) => Some(changes),
        _ => None,
    });
    let expected = [
        (Field::HighThreshold, "100"),
        (Field::MaximumAge, "0s"),
        (Field::EvictionHardMemory, "100Mi"),
        (Field::EvictionHard(Signal::NodefsAvailable), "0%"),
        (Field::EvictionHard(Signal::NodefsInodesFree), "0%"),
        (Field::EvictionHard(Signal::ImagefsAvailable), "0%"),
        (Field::EvictionHard(Signal::ImagefsInodesFree), "0%"),
    ];
    assert_eq!(values(&off.unwrap()), expected);
}

fn explained(snapshot: &Snapshot) -> String {
    let question = Question { layer: Some("worker-old"), written: None };
    explain::render(&node::explain(snapshot, question).unwrap(), None)
}

#[test]
fn check_names_the_best_remedy_of_a_layer_that_is_about_to_lose_images() {
    let check = |snapshot: &Snapshot| node::table(snapshot, None);
    let mut near = node::snapshot();
    let line = "\n  host/test-pods/4f0c8a1e-prow/capd-worker-old: pin 2 images\n";
    assert!(check(&near).contains(line), "{}", check(&near));
    near.sample.layers[OLD].runtime.as_mut().unwrap().version = Some(Label::new("1.6.20~ds1"));
    assert!(check(&near).contains("capd-worker-old: switch image GC and disk eviction off\n"), "{}", check(&near));
    for trigger in &mut near.assessment.layers[OLD].triggers {
        (trigger.forecast, trigger.action) = (None, None);
    }
    assert!(!check(&near).contains("What helps"), "nothing is foreseen");
}

#[test]
fn cri_o_pins_by_its_configuration() {
    let text = explained(&snapshot(|layer| {
        let runtime = layer.runtime.as_mut().unwrap();
        (runtime.kind, runtime.version) = (RuntimeKind::Crio, Some(Label::new("1.33.0")));
    }));
    assert!(text.contains("Whether pins are honoured by this kubelet and runtime is not known."), "{text}");
    assert!(
        text.contains("pinned_images = [\"example.com/capi/controller:dev\", \"workload:e2e\"]\n     In a shell"),
        "{text}"
    );
    assert!(!text.contains("images label"), "{text}");
    assert!(text.contains("The list takes the place of"), "{text}");
}

#[test]
fn an_image_without_a_name_cannot_be_pinned_in_cri_o() {
    let text = explained(&snapshot(|layer| {
        layer.runtime.as_mut().unwrap().kind = RuntimeKind::Crio;
        let Reading::Present { value, .. } = &mut layer.images else { panic!("no images") };
        (value.images[4].tags, value.images[4].digests) = (Vec::new(), Vec::new());
    }));
    assert!(!text.contains(&format!("pinned_images = [\"{}", "sha256:")), "{text}");
    assert!(text.contains("1 command withheld"), "{text}");
}

#[test]
fn pins_that_are_ignored_are_said_to_be() {
    let text = explained(&snapshot(|layer| layer.runtime.as_mut().unwrap().kind = RuntimeKind::Docker));
    assert!(text.contains("  Pinning does not help here: the runtime ignores pins.\n"), "{text}");
    assert!(!text.contains("images label"), "{text}");
}

/// The old node with one name for an image that exists nowhere else.
fn called(name: &str) -> Snapshot {
    snapshot(|layer| {
        let Reading::Present { value, .. } = &mut layer.images else { panic!("no images") };
        value.images[4].tags = vec![Label::new(name)];
    })
}

#[test]
fn a_hostile_name_adds_no_command_to_what_is_copied() {
    let text = explained(&called("a'; reboot; echo '$(reboot)`reboot`"));
    let quoted = r"ctr --namespace k8s.io images label 'a'\''; reboot; echo '\''$(reboot)`reboot`' io.cri-containerd.pinned=pinned";
    assert!(text.contains(&format!("         {quoted}\n")), "{text}");
    for name in ["a\nreboot", "a\u{202E}reboot", "a\x1b[8m", &"a".repeat(300), "--help"] {
        let snapshot = called(name);
        let text = explained(&snapshot);
        assert_eq!(text.matches("images label").count(), 1, "{text}");
        assert!(text.contains("1 command withheld: a name is cut, or has characters that"), "{text}");
        let page = node::page(&snapshot);
        assert!(page.contains("# 1 command withheld"), "{page}");
        let json = json::line(&node::explanation(&snapshot));
        assert!(json.contains("\"withheld\": 1"), "{json}");
    }
}

#[test]
fn a_hostile_pod_is_no_way_in() {
    let exec_command = |pod: &str, container: &str| {
        let mut snapshot = snapshot(|_| ());
        snapshot.sample.layers[1].origin.pod = Some(Label::new(pod));
        let id = snapshot.sample.layers[1].id.child(&[container]);
        snapshot.assessment.layers[OLD].id = id.clone();
        snapshot.sample.layers[OLD].id = id;
        let text = explain::render(&node::explanation(&snapshot), None);
        text.lines().find_map(|line| line.strip_prefix("  A shell in this layer: ").map(str::to_owned))
    };
    let usual = "kubectl --namespace test-pods exec -it p -- docker exec -it c bash";
    assert_eq!(exec_command("p", "c").as_deref(), Some(usual));
    let quoted = "kubectl --namespace test-pods exec -it 'p;reboot' -- docker exec -it 'c$(reboot)' bash";
    assert_eq!(exec_command("p;reboot", "c$(reboot)").as_deref(), Some(quoted));
    assert_eq!(exec_command("p\nreboot", "c"), None);
    assert_eq!(exec_command("-p", "c"), None);
    assert_eq!(exec_command("p", "a/b"), None, "a slash was replaced");
    // A second runtime is called after its container and itself; docker knows the container by its id.
    assert!(exec_command("p", "c:containerd").unwrap().ends_with("docker exec -it 0123456789ab bash"));
}
