//! Every row was seen in /configz of a kubelet 1.37.2 unless it says otherwise.

use super::*;
use crate::sample::{KubeletConfig, KubeletVersion, SettingsFile};
use proptest::prelude::*;

const V1_37: Release = Release::V1 { minor: 37, patch: 2 };

fn v1(minor: u32) -> Release {
    Release::V1 { minor, patch: 0 }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, Option<String>> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
}

fn hard(pairs: &[(&str, &str)]) -> KubeletSettings {
    KubeletSettings { eviction_hard: Some(map(pairs)), ..KubeletSettings::default() }
}

fn merging(settings: KubeletSettings) -> KubeletSettings {
    KubeletSettings { merge_default_eviction_settings: Some(true), ..settings }
}

fn file(settings: KubeletSettings) -> KubeletConfig {
    KubeletConfig { file: Some(SettingsFile { path: "/config.yaml".into(), settings }), ..KubeletConfig::default() }
}

fn with_drop_in(config: KubeletConfig, settings: KubeletSettings) -> KubeletConfig {
    KubeletConfig { drop_ins: vec![SettingsFile { path: "/d/10.conf".into(), settings }], ..config }
}

fn with_flags(config: KubeletConfig, flags: KubeletSettings) -> KubeletConfig {
    KubeletConfig { flags, ..config }
}

/// The hard thresholds as `signal value origin`, percentages to a tenth.
fn in_force(config: &KubeletConfig, release: Release) -> Vec<String> {
    let policy = GcPolicy::effective(Some(config), release);
    assert_eq!(policy.problems, [], "{config:?}");
    written(&policy.eviction_hard)
}

fn written(thresholds: &[EvictionThreshold]) -> Vec<String> {
    let line = |threshold: &EvictionThreshold| {
        let value = match threshold.value {
            ThresholdValue::Quantity(quantity) => quantity.to_string(),
            ThresholdValue::Fraction(fraction) => format!("{:.1}%", fraction * 100.0),
        };
        format!("{} {value} {}", threshold.signal, threshold.origin)
    };
    thresholds.iter().map(line).collect()
}

const DEFAULTS: [&str; 4] = [
    "nodefs.available 10.0% default",
    "nodefs.inodesFree 5.0% default",
    "imagefs.available 15.0% default",
    "imagefs.inodesFree 5.0% default",
];

#[test]
fn a_config_file_that_says_nothing_means_the_defaults() {
    assert_eq!(in_force(&file(KubeletSettings::default()), V1_37), DEFAULTS);
}

#[test]
fn a_map_in_the_file_replaces_the_defaults() {
    let config = file(hard(&[("imagefs.available", "20%")]));
    assert_eq!(in_force(&config, V1_37), ["imagefs.available 20.0% file"]);
}

#[test]
fn merging_in_the_file_keeps_the_other_defaults_and_what_is_switched_off() {
    let config = file(merging(hard(&[("imagefs.available", "20%"), ("nodefs.available", "0%")])));
    let expected =
        ["nodefs.inodesFree 5.0% default", "imagefs.available 20.0% file", "imagefs.inodesFree 5.0% default"];
    assert_eq!(in_force(&config, V1_37), expected);
}

#[test]
fn merging_exists_from_1_33_on_and_counts_for_an_unknown_release() {
    let config = file(merging(hard(&[("imagefs.available", "20%")])));
    assert_eq!(in_force(&config, v1(32)), ["imagefs.available 20.0% file"]);
    assert_eq!(in_force(&config, v1(33)).len(), 4);
    assert_eq!(in_force(&config, Release::Unknown).len(), 4);
}

#[test]
fn an_empty_map_in_the_file_means_no_threshold_unless_merged() {
    assert_eq!(in_force(&file(hard(&[])), V1_37), [""; 0]);
    assert_eq!(in_force(&file(merging(hard(&[]))), V1_37), DEFAULTS);
}

#[test]
fn a_drop_in_adds_to_the_defaults_that_the_file_left() {
    let config = with_drop_in(file(KubeletSettings::default()), hard(&[("imagefs.available", "20%")]));
    let expected = [DEFAULTS[0], DEFAULTS[1], "imagefs.available 20.0% drop-in", DEFAULTS[3]];
    assert_eq!(in_force(&config, V1_37), expected);
}

#[test]
fn file_and_drop_in_are_merged_by_key() {
    let drop_in = hard(&[("imagefs.available", "20%")]);
    let config = with_drop_in(file(hard(&[("nodefs.available", "12%")])), drop_in.clone());
    assert_eq!(in_force(&config, V1_37), ["nodefs.available 12.0% file", "imagefs.available 20.0% drop-in"]);
    // With merging asked for in the file, the missing defaults are there as well.
    let config = with_drop_in(file(merging(hard(&[("nodefs.available", "12%")]))), drop_in);
    let expected = ["nodefs.available 12.0% file", DEFAULTS[1], "imagefs.available 20.0% drop-in", DEFAULTS[3]];
    assert_eq!(in_force(&config, V1_37), expected);
}

#[test]
fn merging_in_a_drop_in_does_nothing() {
    let config = with_drop_in(file(hard(&[("nodefs.available", "12%")])), merging(KubeletSettings::default()));
    assert_eq!(in_force(&config, V1_37), ["nodefs.available 12.0% file"]);
}

#[test]
fn a_null_in_a_drop_in_removes_a_threshold() {
    let null = KubeletSettings {
        eviction_hard: Some(BTreeMap::from([("imagefs.available".to_owned(), None)])),
        ..KubeletSettings::default()
    };
    let config = with_drop_in(file(KubeletSettings::default()), null);
    assert_eq!(in_force(&config, V1_37), [DEFAULTS[0], DEFAULTS[1], DEFAULTS[3]]);
    // A null for the whole map leaves none: defaults were filled in before the merge. Read in the source, not observed.
    let all = KubeletSettings { nulls: ["evictionHard".to_owned()].into(), ..KubeletSettings::default() };
    assert_eq!(in_force(&with_drop_in(file(KubeletSettings::default()), all), V1_37), [""; 0]);
}

#[test]
fn the_flag_replaces_everything_else() {
    let config =
        with_drop_in(file(merging(hard(&[("nodefs.available", "12%")]))), hard(&[("nodefs.inodesFree", "7%")]));
    let config = with_flags(config, hard(&[("imagefs.available", "20%")]));
    assert_eq!(in_force(&config, V1_37), ["imagefs.available 20.0% flag"]);
}

#[test]
fn the_empty_flag_leaves_no_threshold() {
    let config = with_flags(file(KubeletSettings::default()), hard(&[]));
    assert_eq!(in_force(&config, V1_37), [""; 0]);
}

#[test]
fn without_a_config_file_there_are_no_defaults_at_all() {
    assert_eq!(in_force(&KubeletConfig::default(), V1_37), [""; 0]);
    let flags = with_flags(KubeletConfig::default(), hard(&[("nodefs.available", "1Gi")]));
    assert_eq!(in_force(&flags, V1_37), ["nodefs.available 1073741824 flag"]);
    let drop_ins = with_drop_in(KubeletConfig::default(), merging(hard(&[("imagefs.available", "20%")])));
    assert_eq!(in_force(&drop_ins, V1_37), ["imagefs.available 20.0% drop-in"]);
}

#[test]
fn imagefs_inodes_are_a_default_from_1_30_on() {
    let config = file(KubeletSettings::default());
    assert_eq!(in_force(&config, v1(29)), DEFAULTS[..3]);
    assert_eq!(in_force(&config, v1(30)), DEFAULTS);
    assert_eq!(in_force(&config, Release::Unknown), DEFAULTS);
}

#[test]
fn without_a_kubelet_the_defaults_are_assumed() {
    let policy = GcPolicy::effective(None, Release::Unknown);
    assert!(policy.image_gc.enabled);
    assert_eq!(policy.image_gc.high, Setting { value: Percent::new(85), origin: Origin::Assumed });
    assert_eq!(policy.image_gc.low, Setting { value: Percent::new(80), origin: Origin::Assumed });
    assert_eq!(policy.image_gc.minimum_age, Setting { value: Span::from_secs(120), origin: Origin::Assumed });
    assert_eq!(policy.image_gc.maximum_age, None);
    assert_eq!(policy.pressure_transition_period, Setting { value: Span::from_secs(300), origin: Origin::Assumed });
    assert_eq!(written(&policy.eviction_hard), DEFAULTS.map(|line| line.replace("default", "assumed")));
    assert_eq!(policy.problems, []);
}

#[test]
fn files_changed_after_the_start_are_a_problem() {
    use crate::sample::Reading;
    use crate::time::Timestamp;
    let problems = |modified_at: Option<i64>| {
        let modified_at = modified_at.map(Timestamp::from_micros);
        let config = KubeletConfig { modified_at, ..file(KubeletSettings::default()) };
        let kubelet = KubeletSample {
            pid: 1,
            started_at: Timestamp::from_micros(100),
            serving_since: None,
            version: Some(KubeletVersion { release: "v1.37.2".into(), origin: None }),
            config: Reading::present(config, Timestamp::from_micros(200)),
        };
        let policy = GcPolicy::of(Some(&kubelet));
        assert_eq!(policy.eviction_hard.len(), 4);
        policy.problems.len()
    };
    assert_eq!((problems(None), problems(Some(1_000_100)), problems(Some(1_000_101))), (0, 0, 1));
    assert_eq!(GcPolicy::of(None), GcPolicy::effective(None, Release::Unknown));
}

#[test]
fn kind_switches_everything_off_in_the_file() {
    let config = file(KubeletSettings {
        image_gc_high_threshold_percent: Some(100),
        ..hard(&[("nodefs.available", "0%"), ("nodefs.inodesFree", "0%"), ("imagefs.available", "0%")])
    });
    let policy = GcPolicy::effective(Some(&config), v1(35));
    assert!(!policy.image_gc.enabled);
    assert_eq!(policy.image_gc.high.origin.as_str(), "file");
    assert_eq!(policy.eviction_hard, []);
}

#[test]
fn capd_switches_everything_off_by_flags_whatever_the_file_says() {
    let config = with_flags(
        file(KubeletSettings { image_gc_high_threshold_percent: Some(85), ..KubeletSettings::default() }),
        KubeletSettings {
            image_gc_high_threshold_percent: Some(100),
            ..hard(&[("nodefs.available", "0%"), ("nodefs.inodesFree", "0%"), ("imagefs.available", "0%")])
        },
    );
    let policy = GcPolicy::effective(Some(&config), v1(34));
    assert!(!policy.image_gc.enabled);
    assert_eq!(policy.image_gc.high, Setting { value: Percent::new(100), origin: Origin::Flag });
    assert_eq!(policy.eviction_hard, []);
}

#[test]
fn old_capd_and_its_ignition_path_evict_nothing_but_collect_at_85() {
    let off = hard(&[("nodefs.available", "0%"), ("nodefs.inodesFree", "0%"), ("imagefs.available", "0%")]);
    let policy = GcPolicy::effective(Some(&with_flags(file(KubeletSettings::default()), off)), v1(31));
    assert!(policy.image_gc.enabled);
    assert_eq!(policy.image_gc.high, Setting { value: Percent::new(85), origin: Origin::Default });
    assert_eq!(policy.eviction_hard, []);
}

#[test]
fn k3s_has_its_own_thresholds_and_no_others() {
    let config = with_flags(
        KubeletConfig::default(),
        KubeletSettings {
            eviction_minimum_reclaim: Some(map(&[("imagefs.available", "10%"), ("nodefs.available", "10%")])),
            ..hard(&[("imagefs.available", "5%"), ("nodefs.available", "5%")])
        },
    );
    let policy = GcPolicy::effective(Some(&config), Release::parse("v1.30.2+k3s1"));
    assert_eq!(written(&policy.eviction_hard), ["nodefs.available 5.0% flag", "imagefs.available 5.0% flag"]);
    for threshold in &policy.eviction_hard {
        assert_eq!(threshold.minimum_reclaim, Some(ThresholdValue::Fraction(0.1)));
    }
}

#[test]
fn thresholds_come_from_the_last_place_that_names_them() {
    let set = |high, low| KubeletSettings {
        image_gc_high_threshold_percent: high,
        image_gc_low_threshold_percent: low,
        ..KubeletSettings::default()
    };
    let config = with_flags(with_drop_in(file(set(Some(70), Some(60))), set(Some(75), None)), set(None, Some(50)));
    let policy = GcPolicy::effective(Some(&config), V1_37).image_gc;
    assert_eq!(policy.high, Setting { value: Percent::new(75), origin: Origin::DropIn("/d/10.conf".into()) });
    assert_eq!(policy.low, Setting { value: Percent::new(50), origin: Origin::Flag });
    // A null in a later drop-in takes all of it back.
    let mut config = config;
    let nulls = ["imageGCHighThresholdPercent".to_owned()].into();
    let settings = KubeletSettings { nulls, ..KubeletSettings::default() };
    config.drop_ins.push(SettingsFile { path: "/d/20.conf".into(), settings });
    let policy = GcPolicy::effective(Some(&config), V1_37).image_gc;
    assert_eq!(policy.high, Setting { value: Percent::new(85), origin: Origin::Default });
}

#[test]
fn an_age_of_zero_is_the_default_in_files_and_zero_by_flag() {
    let zero = KubeletSettings {
        image_minimum_gc_age: Some(Span::ZERO),
        eviction_pressure_transition_period: Some(Span::ZERO),
        ..KubeletSettings::default()
    };
    let hour = KubeletSettings { image_minimum_gc_age: Some(Span::from_secs(3600)), ..KubeletSettings::default() };
    for config in [file(zero.clone()), with_drop_in(file(hour), zero.clone())] {
        let policy = GcPolicy::effective(Some(&config), V1_37);
        assert_eq!(policy.image_gc.minimum_age, Setting { value: Span::from_secs(120), origin: Origin::Default });
        assert_eq!(policy.pressure_transition_period.value, Span::from_secs(300));
    }
    let policy = GcPolicy::effective(Some(&with_flags(file(KubeletSettings::default()), zero)), V1_37);
    assert_eq!(policy.image_gc.minimum_age, Setting { value: Span::ZERO, origin: Origin::Flag });
    assert_eq!(policy.pressure_transition_period, Setting { value: Span::ZERO, origin: Origin::Flag });
}

#[test]
fn the_loop_is_off_at_100_unless_a_maximum_age_keeps_it_going() {
    let config = |age| {
        file(KubeletSettings {
            image_gc_high_threshold_percent: Some(100),
            image_maximum_gc_age: age,
            ..KubeletSettings::default()
        })
    };
    let hour = Some(Span::from_secs(3600));
    let enabled = |age, release| GcPolicy::effective(Some(&config(age)), release).image_gc.enabled;
    assert!(!enabled(None, V1_37));
    assert!(!enabled(Some(Span::ZERO), V1_37));
    assert!(enabled(hour, V1_37));
    assert!(enabled(hour, v1(30)));
    assert!(!enabled(hour, v1(29)));
    assert!(!enabled(hour, v1(28)));
    assert!(enabled(hour, Release::Unknown));
    assert!(!enabled(None, Release::Unknown));
}

#[test]
fn a_maximum_age_needs_its_release_and_its_gate() {
    let settings = |gate: Option<bool>| KubeletSettings {
        image_maximum_gc_age: Some(Span::from_secs(3600)),
        feature_gates: gate.map(|on| BTreeMap::from([("ImageMaximumGCAge".to_owned(), on)])),
        ..KubeletSettings::default()
    };
    let age = |config: &KubeletConfig, release| {
        let policy = GcPolicy::effective(Some(config), release);
        policy.image_gc.maximum_age.map(|age| age.value.as_secs_f64())
    };
    assert_eq!(age(&file(settings(None)), v1(28)), None);
    assert_eq!(age(&file(settings(None)), v1(29)), None);
    assert_eq!(age(&file(settings(Some(true))), v1(29)), Some(3600.0));
    assert_eq!(age(&file(settings(None)), v1(30)), Some(3600.0));
    assert_eq!(age(&file(settings(Some(false))), v1(34)), None);
    assert_eq!(age(&file(settings(Some(false))), v1(35)), Some(3600.0));
    // Flags win for each gate.
    let on = KubeletSettings { image_maximum_gc_age: None, ..settings(Some(true)) };
    assert_eq!(age(&with_flags(file(settings(Some(false))), on), v1(34)), Some(3600.0));
}

#[test]
fn a_maximum_age_must_be_above_the_minimum_age() {
    let problems = |seconds| {
        let age = Some(Span::from_secs(seconds));
        let config = file(KubeletSettings { image_maximum_gc_age: age, ..KubeletSettings::default() });
        GcPolicy::effective(Some(&config), V1_37).problems.len()
    };
    // 2m1s was accepted beside the default of 2m, 2m was not.
    assert_eq!((problems(121), problems(120), problems(-1), problems(0)), (0, 1, 1, 0));
}

#[test]
fn a_low_threshold_that_is_not_below_the_high_one_is_a_problem() {
    let refused = |high, low| {
        let config = file(KubeletSettings {
            image_gc_high_threshold_percent: Some(high),
            image_gc_low_threshold_percent: Some(low),
            ..KubeletSettings::default()
        });
        !GcPolicy::effective(Some(&config), V1_37).problems.is_empty()
    };
    for (high, low) in [(85, 85), (100, 100), (0, 0), (85, 90), (101, 80), (85, -1)] {
        assert!(refused(high, low), "{high}/{low}");
    }
    assert!(!refused(1, 0));
    assert!(!refused(99, 1));
}

#[test]
fn a_value_out_of_range_costs_itself_only() {
    let set = |high| KubeletSettings { image_gc_high_threshold_percent: Some(high), ..KubeletSettings::default() };
    let policy = GcPolicy::effective(Some(&with_flags(file(set(90)), set(120))), V1_37);
    assert_eq!(policy.image_gc.high, Setting { value: Percent::new(90), origin: Origin::File("/config.yaml".into()) });
    let problems: Vec<_> = policy.problems.iter().map(Label::as_str).collect();
    assert_eq!(problems, ["imageGCHighThresholdPercent (flag): not between 0 and 100"]);
}

#[test]
fn thresholds_that_the_kubelet_refuses_are_named_without_their_text() {
    let config = file(hard(&[
        ("imagefs.available", "secret"),
        ("nodefs.available", "-5%"),
        ("nodefs.inodesFree", "5%"),
        ("another.secret", "5%"),
        ("memory.available", "100Mi"),
    ]));
    let policy = GcPolicy::effective(Some(&config), V1_37);
    assert_eq!(written(&policy.eviction_hard), ["nodefs.inodesFree 5.0% file"]);
    let problems: Vec<_> = policy.problems.iter().map(Label::as_str).collect();
    assert_eq!(
        problems,
        [
            "evictionHard: 1 unknown signal(s): a kubelet does not start",
            "evictionHard[nodefs.available] (file): a percentage outside 0% to 100%",
            "evictionHard[imagefs.available] (file): not a quantity such as 1Gi, 500M or 10%",
        ]
    );
}

#[test]
fn soft_thresholds_need_a_grace_period() {
    let config = file(KubeletSettings {
        eviction_soft: Some(map(&[
            ("nodefs.available", "30%"),
            ("imagefs.available", "25%"),
            ("nodefs.inodesFree", "9%"),
        ])),
        eviction_soft_grace_period: Some(map(&[("nodefs.available", "2h"), ("nodefs.inodesFree", "-1s")])),
        ..KubeletSettings::default()
    });
    let policy = GcPolicy::effective(Some(&config), V1_37);
    assert_eq!(policy.eviction_soft.len(), 1);
    assert_eq!(policy.eviction_soft[0].threshold.value, ThresholdValue::Fraction(0.3));
    assert_eq!(policy.eviction_soft[0].grace_period, Span::from_secs(7200));
    let problems: Vec<_> = policy.problems.iter().map(Label::as_str).collect();
    assert_eq!(
        problems,
        [
            "evictionSoftGracePeriod[nodefs.inodesFree] (file): not a duration",
            "evictionSoft[imagefs.available] (file): has no grace period",
        ]
    );
}

proptest! {
    #[test]
    fn what_is_off_in_one_place_cannot_come_back_from_an_earlier_one(
        in_file in proptest::option::of("[0-9]{1,3}%"),
        in_drop_in in proptest::option::of("[0-9]{1,3}%"),
    ) {
        let set = |value: &Option<String>| match value {
            Some(text) => hard(&[("imagefs.available", text.as_str())]),
            None => KubeletSettings::default(),
        };
        let config = with_drop_in(file(set(&in_file)), set(&in_drop_in));
        let off = with_flags(config, hard(&[("imagefs.available", "0%")]));
        prop_assert_eq!(GcPolicy::effective(Some(&off), V1_37).eviction_hard, []);
    }

    #[test]
    fn any_settings_give_a_policy(high: Option<i64>, low: Option<i64>, age: Option<i64>, text: String, minor in 20_u32..40) {
        let config = file(KubeletSettings {
            image_gc_high_threshold_percent: high,
            image_gc_low_threshold_percent: low,
            image_minimum_gc_age: age.map(Span::from_micros),
            image_maximum_gc_age: age.map(Span::from_micros),
            ..hard(&[("imagefs.available", &text)])
        });
        let policy = GcPolicy::effective(Some(&config), v1(minor));
        prop_assert!((0..=100).contains(&policy.image_gc.high.value.get()));
        prop_assert!((0..=100).contains(&policy.image_gc.low.value.get()));
    }
}
