//! What do the arguments of a kubelet say? Mirrors `cmd/kubelet/app/options` and the flag types of
//! k8s.io/component-base.

use crate::sample::{KubeletSettings, parse_go_duration};
use crate::time::Span;
use crate::untrusted::Label;
use std::collections::BTreeMap;

/// The arguments that matter here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Flags {
    /// Settings that files can hold as well.
    pub(super) settings: KubeletSettings,
    /// `--config`.
    pub(super) config: Option<String>,
    /// `--config-dir`.
    pub(super) config_dir: Option<String>,
    /// `--root-dir`.
    pub(super) root_dir: Option<String>,
    /// What could not be understood.
    pub(super) problems: Vec<Label>,
}

/// More than any command line holds; a longer map is cut with a problem.
const MAX_PAIRS: usize = 1_000;

impl Flags {
    /// Reads arguments without the program's name. `--flag value`, `--flag=value` and the same with one dash;
    /// underscores count as dashes; of a repeated flag the last wins, except that maps collect the pairs of all.
    pub(super) fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut flags = Self::default();
        let mut arguments = arguments.into_iter().peekable();
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                break;
            }
            let Some(body) = argument.strip_prefix('-').map(|rest| rest.strip_prefix('-').unwrap_or(rest)) else {
                continue;
            };
            let (name, inline) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (body, None),
            };
            let name = name.replace('_', "-");
            // A flag that is not known here may be a switch; what follows it is then looked at by itself.
            if !KNOWN.contains(&name.as_str()) {
                continue;
            }
            match inline.or_else(|| arguments.next()) {
                Some(value) => flags.set(&name, value),
                None => flags.problem(&name, "has no value"),
            }
        }
        flags
    }

    /// Takes one flag; names that are not in [`KNOWN`] are passed over.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        match name {
            "config" => self.config = path(value),
            "config-dir" => self.config_dir = path(value),
            "pod-manifest-path" => self.settings.static_pod_path = Some(value.to_owned()),
            "pod-infra-container-image" => self.settings.pod_infra_container_image = Some(value.to_owned()),
            "root-dir" => self.root_dir = path(value),
            "container-runtime-endpoint" => self.settings.container_runtime_endpoint = Some(value.to_owned()),
            "image-service-endpoint" => self.settings.image_service_endpoint = Some(value.to_owned()),
            "image-gc-high-threshold" => {
                if let Some(percent) = self.integer(name, value) {
                    self.settings.image_gc_high_threshold_percent = Some(percent);
                }
            }
            "image-gc-low-threshold" => {
                if let Some(percent) = self.integer(name, value) {
                    self.settings.image_gc_low_threshold_percent = Some(percent);
                }
            }
            "minimum-image-ttl-duration" => {
                if let Some(span) = self.duration(name, value) {
                    self.settings.image_minimum_gc_age = Some(span);
                }
            }
            "eviction-pressure-transition-period" => {
                if let Some(span) = self.duration(name, value) {
                    self.settings.eviction_pressure_transition_period = Some(span);
                }
            }
            "eviction-hard" => {
                let map = self.pairs(name, value, '<');
                self.settings.eviction_hard.get_or_insert_default().extend(map);
            }
            "eviction-soft" => {
                let map = self.pairs(name, value, '<');
                self.settings.eviction_soft.get_or_insert_default().extend(map);
            }
            "eviction-soft-grace-period" => {
                let map = self.pairs(name, value, '=');
                self.settings.eviction_soft_grace_period.get_or_insert_default().extend(map);
            }
            "eviction-minimum-reclaim" => {
                let map = self.pairs(name, value, '=');
                self.settings.eviction_minimum_reclaim.get_or_insert_default().extend(map);
            }
            "feature-gates" => self.gates(name, value),
            _ => {}
        }
    }

    fn problem(&mut self, name: &str, text: &str) {
        self.problems.push(Label::from(format!("--{name}: {text}")));
    }

    /// The kubelet keeps these as int32.
    fn integer(&mut self, name: &str, value: &str) -> Option<i64> {
        let number = value.parse::<i32>().ok().map(i64::from);
        if number.is_none() {
            self.problem(name, "not a whole number");
        }
        number
    }

    fn duration(&mut self, name: &str, value: &str) -> Option<Span> {
        let span = parse_go_duration(value);
        if span.is_none() {
            self.problem(name, "not a duration such as 2m30s");
        }
        span
    }

    /// `key<value,key<value`; spaces around keys and values do not count, empty pieces are nothing.
    fn pairs(&mut self, name: &str, value: &str, separator: char) -> BTreeMap<String, Option<String>> {
        let mut map = BTreeMap::new();
        for piece in value.split(',').filter(|piece| !piece.is_empty()) {
            match piece.split_once(separator) {
                _ if map.len() == MAX_PAIRS => {
                    self.problem(name, "too many pairs");
                    break;
                }
                Some((key, value)) => drop(map.insert(key.trim().to_owned(), Some(value.trim().to_owned()))),
                None => self.problem(name, "a part that is not a pair"),
            }
        }
        map
    }

    fn gates(&mut self, name: &str, value: &str) {
        for (key, text) in self.pairs(name, value, '=') {
            // strconv.ParseBool.
            let on = match text.as_deref() {
                Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
                Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
                _ => {
                    self.problem(name, "a gate that is neither true nor false");
                    continue;
                }
            };
            self.settings.feature_gates.get_or_insert_default().insert(key, on);
        }
    }
}

/// The flags that are read; each of them takes a value.
const KNOWN: [&str; 16] = [
    "config",
    "config-dir",
    "pod-infra-container-image",
    "pod-manifest-path",
    "root-dir",
    "container-runtime-endpoint",
    "image-service-endpoint",
    "image-gc-high-threshold",
    "image-gc-low-threshold",
    "minimum-image-ttl-duration",
    "eviction-hard",
    "eviction-soft",
    "eviction-soft-grace-period",
    "eviction-minimum-reclaim",
    "eviction-pressure-transition-period",
    "feature-gates",
];

/// An empty path is no path, as for the kubelet.
fn path(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, Option<String>> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
    }

    #[test]
    fn a_flag_and_its_value_may_be_one_argument_or_two() {
        for arguments in [
            ["--v=2", "--image-gc-high-threshold=100", "--config=/a"].as_slice(),
            &["--image-gc-high-threshold", "100", "--fail-swap-on", "--config", "/a"],
            &[
                "-image-gc-high-threshold=100",
                "--image_gc_high_threshold",
                "100",
                "--config",
                "/a",
                "--",
                "--config=/b",
            ],
        ] {
            let flags = Flags::parse(arguments.iter().copied());
            assert_eq!(flags.settings.image_gc_high_threshold_percent, Some(100), "{arguments:?}");
            assert_eq!(flags.config.as_deref(), Some("/a"), "{arguments:?}");
            assert!(flags.problems.is_empty());
        }
    }

    #[test]
    fn the_image_of_sandboxes_is_a_flag_alone() {
        let flags = Flags::parse(["--pod-infra-container-image", "registry.example.com/infra/sandbox:1"]);
        let expected = Some("registry.example.com/infra/sandbox:1");
        assert_eq!(flags.settings.pod_infra_container_image.as_deref(), expected);
    }

    #[test]
    fn of_a_repeated_flag_the_last_wins_and_maps_collect() {
        let flags = Flags::parse([
            "--image-gc-low-threshold=10",
            "--image-gc-low-threshold=20",
            "--eviction-hard=imagefs.available<5%",
            "--eviction-hard",
            "nodefs.available<1Gi, imagefs.available < 7%",
        ]);
        assert_eq!(flags.settings.image_gc_low_threshold_percent, Some(20));
        assert_eq!(
            flags.settings.eviction_hard,
            Some(map(&[("imagefs.available", "7%"), ("nodefs.available", "1Gi")]))
        );
    }

    #[test]
    fn an_empty_map_is_not_the_absence_of_one() {
        assert_eq!(Flags::parse(["--eviction-hard="]).settings.eviction_hard, Some(BTreeMap::new()));
        assert_eq!(Flags::parse(["--eviction-soft"]).settings.eviction_soft, None);
    }

    #[test]
    fn every_flag_finds_its_field() {
        let flags = Flags::parse([
            "--config-dir=/etc/kubelet.d",
            "--root-dir=/data/kubelet",
            "--container-runtime-endpoint=unix:///run/c.sock",
            "--image-service-endpoint=unix:///run/i.sock",
            "--minimum-image-ttl-duration=0s",
            "--eviction-soft=nodefs.available<30%",
            "--eviction-soft-grace-period=nodefs.available=2h",
            "--eviction-minimum-reclaim=nodefs.available=10%",
            "--eviction-pressure-transition-period=30s",
            "--feature-gates=ImageVolume=true,ImageMaximumGCAge=F",
        ]);
        assert_eq!(flags.config_dir.as_deref(), Some("/etc/kubelet.d"));
        assert_eq!(flags.root_dir.as_deref(), Some("/data/kubelet"));
        let settings = flags.settings;
        assert_eq!(settings.container_runtime_endpoint.as_deref(), Some("unix:///run/c.sock"));
        assert_eq!(settings.image_service_endpoint.as_deref(), Some("unix:///run/i.sock"));
        assert_eq!(settings.image_minimum_gc_age, Some(Span::ZERO));
        assert_eq!(settings.eviction_soft, Some(map(&[("nodefs.available", "30%")])));
        assert_eq!(settings.eviction_soft_grace_period, Some(map(&[("nodefs.available", "2h")])));
        assert_eq!(settings.eviction_minimum_reclaim, Some(map(&[("nodefs.available", "10%")])));
        assert_eq!(settings.eviction_pressure_transition_period, Some(Span::from_secs(30)));
        let gates = BTreeMap::from([("ImageVolume".to_owned(), true), ("ImageMaximumGCAge".to_owned(), false)]);
        assert_eq!(settings.feature_gates, Some(gates));
        assert!(flags.problems.is_empty());
    }

    #[test]
    fn a_bad_value_costs_itself_and_is_not_repeated() {
        let flags = Flags::parse([
            "--image-gc-high-threshold=secret",
            "--image-gc-low-threshold=50",
            "--minimum-image-ttl-duration=5",
            "--eviction-hard=secret,imagefs.available<5%",
            "--feature-gates=A=secret",
            "--config",
        ]);
        assert_eq!(flags.settings.image_gc_high_threshold_percent, None);
        assert_eq!(flags.settings.image_gc_low_threshold_percent, Some(50));
        assert_eq!(flags.settings.eviction_hard, Some(map(&[("imagefs.available", "5%")])));
        let problems: Vec<_> = flags.problems.iter().map(Label::as_str).collect();
        assert_eq!(
            problems,
            [
                "--image-gc-high-threshold: not a whole number",
                "--minimum-image-ttl-duration: not a duration such as 2m30s",
                "--eviction-hard: a part that is not a pair",
                "--feature-gates: a gate that is neither true nor false",
                "--config: has no value",
            ]
        );
    }

    proptest! {
        #[test]
        fn any_arguments_are_read_without_panic(arguments: Vec<String>) {
            Flags::parse(arguments.iter().map(String::as_str));
        }
    }
}
