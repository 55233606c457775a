//! What does a KubeletConfiguration file say? YAML or JSON, read with limits.
//!
//! Mirrors `pkg/kubelet/kubeletconfig` and sigs.k8s.io/yaml as far as they matter: the first document counts, of
//! repeated keys the last, unknown fields are passed over, and a value of the wrong type is an error of that value.

use crate::sample::{KubeletSettings, parse_go_duration};
use crate::time::Span;
use crate::untrusted::Label;
use serde_json::{Map, Value};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use std::collections::BTreeMap;
use std::path::Path;

/// Why a file is no configuration at all. The text names a place in it, never what stands there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FileError {
    /// No bytes; the kubelet refuses that.
    #[error("empty")]
    Empty,
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A syntax error, or more nodes, aliases or levels than a configuration has.
    #[error("neither YAML nor JSON within limits (line {line}, column {column})")]
    Syntax {
        /// Counted from 1; 0 where it is not known.
        line: u64,
        /// Counted from 1; 0 where it is not known.
        column: u64,
    },
    /// A list or a scalar.
    #[error("not a mapping")]
    NotAMapping,
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Parsed {
    pub(super) settings: KubeletSettings,
    /// Whether apiVersion and kind are those of a KubeletConfiguration; the kubelet refuses anything else.
    pub(super) is_kubelet_configuration: bool,
    /// One text for each value that could not be understood: the field and what is wrong.
    pub(super) problems: Vec<String>,
}

/// A kubelet's own file has some 200 nodes.
const MAX_NODES: usize = 20_000;
const MAX_DEPTH: usize = 64;
const MAX_ALIASES: usize = 1_000;

/// Reads the content of a file.
pub(super) fn parse(content: &[u8]) -> Result<Parsed, FileError> {
    let Value::Object(fields) = document(content)? else { return Err(FileError::NotAMapping) };
    let mut reader = Reader { fields, problems: Vec::new(), nulls: Vec::new() };
    let settings = KubeletSettings {
        image_gc_high_threshold_percent: reader.integer("imageGCHighThresholdPercent"),
        image_gc_low_threshold_percent: reader.integer("imageGCLowThresholdPercent"),
        image_minimum_gc_age: reader.duration("imageMinimumGCAge"),
        image_maximum_gc_age: reader.duration("imageMaximumGCAge"),
        eviction_hard: reader.map("evictionHard"),
        eviction_soft: reader.map("evictionSoft"),
        eviction_soft_grace_period: reader.map("evictionSoftGracePeriod"),
        eviction_minimum_reclaim: reader.map("evictionMinimumReclaim"),
        eviction_pressure_transition_period: reader.duration("evictionPressureTransitionPeriod"),
        merge_default_eviction_settings: reader.boolean("mergeDefaultEvictionSettings"),
        container_runtime_endpoint: reader.text("containerRuntimeEndpoint"),
        image_service_endpoint: reader.text("imageServiceEndpoint"),
        pod_logs_dir: reader.text("podLogsDir"),
        static_pod_path: reader.text("staticPodPath"),
        pod_infra_container_image: None,
        feature_gates: reader.gates("featureGates"),
        nulls: reader.nulls.iter().map(|field| (*field).to_owned()).collect(),
    };
    Ok(Parsed { settings, is_kubelet_configuration: reader.is_kubelet_configuration(), problems: reader.problems })
}

/// The first document, as a tree. JSON goes to a JSON parser: not every JSON text is YAML.
pub(super) fn document(content: &[u8]) -> Result<Value, FileError> {
    let text = std::str::from_utf8(content).map_err(|_| FileError::NotUtf8)?;
    if text.is_empty() {
        return Err(FileError::Empty);
    }
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_depth: MAX_DEPTH,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_recorded_anchor_events: MAX_NODES,
            max_documents: 16,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    let documents: Vec<Value> = serde_saphyr::from_str_multiple_with_options(text, options).map_err(|error| {
        let location = error.location();
        let place = |of: fn(&serde_saphyr::Location) -> u64| location.as_ref().map_or(0, of);
        FileError::Syntax { line: place(serde_saphyr::Location::line), column: place(serde_saphyr::Location::column) }
    })?;
    documents.into_iter().next().ok_or(FileError::NotAMapping)
}

struct Reader {
    fields: Map<String, Value>,
    problems: Vec<String>,
    nulls: Vec<&'static str>,
}

impl Reader {
    /// The value of a field; a null is noted and counts as absent.
    fn take(&mut self, field: &'static str) -> Option<Value> {
        let value = self.fields.remove(field)?;
        if value.is_null() {
            self.nulls.push(field);
            return None;
        }
        Some(value)
    }

    fn problem(&mut self, field: &str, text: &str) {
        self.problems.push(format!("{field}: {text}"));
    }

    /// A whole number in the range of Go's int32. YAML's 85.0 becomes JSON's 85 on the kubelet's way, so it counts.
    fn integer(&mut self, field: &'static str) -> Option<i64> {
        let value = self.take(field)?;
        let whole = value.as_i64().or_else(|| whole(value.as_f64()?));
        let number = whole.filter(|number| i32::try_from(*number).is_ok());
        if number.is_none() {
            self.problem(field, "not a whole number");
        }
        number
    }

    /// metav1.Duration: a string; a bare number is an error, as it is for the kubelet.
    fn duration(&mut self, field: &'static str) -> Option<Span> {
        let value = self.take(field)?;
        let span = value.as_str().and_then(parse_go_duration);
        if span.is_none() {
            self.problem(field, "not a duration such as 2m30s");
        }
        span
    }

    fn boolean(&mut self, field: &'static str) -> Option<bool> {
        let value = self.take(field)?.as_bool();
        if value.is_none() {
            self.problem(field, "neither true nor false");
        }
        value
    }

    fn text(&mut self, field: &'static str) -> Option<String> {
        let value = self.take(field)?.as_str().map(ToOwned::to_owned);
        if value.is_none() {
            self.problem(field, "not a string");
        }
        value
    }

    fn object(&mut self, field: &'static str) -> Option<Map<String, Value>> {
        let Value::Object(map) = self.take(field)? else {
            self.problem(field, "not a mapping");
            return None;
        };
        Some(map)
    }

    /// A map of strings; a null stays, as `None`; anything else costs its entry.
    fn map(&mut self, field: &'static str) -> Option<BTreeMap<String, Option<String>>> {
        let mut map = BTreeMap::new();
        for (key, value) in self.object(field)? {
            match value {
                Value::String(text) => drop(map.insert(key, Some(text))),
                Value::Null => drop(map.insert(key, None)),
                _ => self.problem(field, "a value that is not a string"),
            }
        }
        Some(map)
    }

    fn gates(&mut self, field: &'static str) -> Option<BTreeMap<String, bool>> {
        let mut gates = BTreeMap::new();
        for (key, value) in self.object(field)? {
            match value {
                Value::Bool(on) => drop(gates.insert(key, on)),
                Value::Null => {}
                _ => self.problem(field, "a gate that is neither true nor false"),
            }
        }
        Some(gates)
    }

    fn is_kubelet_configuration(&self) -> bool {
        let is =
            |field: &str, wanted: fn(&str) -> bool| self.fields.get(field).and_then(Value::as_str).is_some_and(wanted);
        is("kind", |kind| kind == "KubeletConfiguration")
            && is("apiVersion", |version| version.starts_with("kubelet.config.k8s.io/"))
    }
}

/// A float without a fraction, within the range in which every whole number is exact.
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then(|| Span::from_secs_f64(number / 1e6).micros())
}

/// The path of a file as a label.
pub(super) fn label(path: &Path) -> Label {
    Label::from(path.to_string_lossy().as_ref())
}

/// A problem of a file as a label: where, then what.
pub(super) fn located(path: &Label, problem: &str) -> Label {
    Label::from(format!("{path}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(text: &str) -> KubeletSettings {
        let parsed = parse(text.as_bytes()).unwrap();
        assert_eq!(parsed.problems, [""; 0]);
        parsed.settings
    }

    #[test]
    fn every_field_is_read_from_yaml_and_from_json() {
        let yaml = "
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 80.0
imageMinimumGCAge: 0s
imageMaximumGCAge: 1h30m
evictionHard: {imagefs.available: 15%, nodefs.available: 1Gi, nodefs.inodesFree: null}
evictionSoft: {nodefs.available: \"30%\"}
evictionSoftGracePeriod: {nodefs.available: 2h}
evictionMinimumReclaim: {nodefs.available: 500Mi}
evictionPressureTransitionPeriod: 30s
mergeDefaultEvictionSettings: yes
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
imageServiceEndpoint: unix:///run/images.sock
podLogsDir: /var/log/pods
staticPodPath: /etc/kubernetes/manifests
featureGates: {ImageVolume: true}
unknownField: [1, {a: b}]
";
        let json = r#"{
	"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 80, "imageMinimumGCAge": "0s",
	"imageMaximumGCAge": "1h30m",
	"evictionHard": {"imagefs.available": "15%", "nodefs.available": "1Gi", "nodefs.inodesFree": null},
	"evictionSoft": {"nodefs.available": "30%"}, "evictionSoftGracePeriod": {"nodefs.available": "2h"},
	"evictionMinimumReclaim": {"nodefs.available": "500Mi"}, "evictionPressureTransitionPeriod": "30s",
	"mergeDefaultEvictionSettings": true,
	"containerRuntimeEndpoint": "unix:\/\/\/run/containerd/containerd.sock",
	"imageServiceEndpoint": "unix:///run/images.sock", "podLogsDir": "/var/log/pods", "staticPodPath": "/etc/kubernetes/manifests",
	"featureGates": {"ImageVolume": true}
}"#;
        let map = |pairs: &[(&str, Option<&str>)]| {
            Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(ToOwned::to_owned))).collect())
        };
        let expected = KubeletSettings {
            image_gc_high_threshold_percent: Some(100),
            image_gc_low_threshold_percent: Some(80),
            image_minimum_gc_age: Some(Span::ZERO),
            image_maximum_gc_age: Some(Span::from_secs(5_400)),
            eviction_hard: map(&[
                ("imagefs.available", Some("15%")),
                ("nodefs.available", Some("1Gi")),
                ("nodefs.inodesFree", None),
            ]),
            eviction_soft: map(&[("nodefs.available", Some("30%"))]),
            eviction_soft_grace_period: map(&[("nodefs.available", Some("2h"))]),
            eviction_minimum_reclaim: map(&[("nodefs.available", Some("500Mi"))]),
            eviction_pressure_transition_period: Some(Span::from_secs(30)),
            merge_default_eviction_settings: Some(true),
            container_runtime_endpoint: Some("unix:///run/containerd/containerd.sock".to_owned()),
            image_service_endpoint: Some("unix:///run/images.sock".to_owned()),
            pod_logs_dir: Some("/var/log/pods".to_owned()),
            static_pod_path: Some("/etc/kubernetes/manifests".to_owned()),
            pod_infra_container_image: None,
            feature_gates: Some(BTreeMap::from([("ImageVolume".to_owned(), true)])),
            nulls: std::collections::BTreeSet::new(),
        };
        assert_eq!(settings(yaml), expected);
        assert_eq!(settings(json), expected);
    }

    #[test]
    fn a_null_is_noted_and_an_empty_map_is_a_map() {
        let settings = settings("evictionHard: {}\nevictionSoft: null\nimageGCHighThresholdPercent: ~\n");
        assert_eq!(settings.eviction_hard, Some(BTreeMap::new()));
        assert_eq!(settings.eviction_soft, None);
        assert_eq!(settings.nulls.iter().collect::<Vec<_>>(), ["evictionSoft", "imageGCHighThresholdPercent"]);
    }

    #[test]
    fn a_value_of_the_wrong_type_costs_itself_and_is_not_repeated() {
        let text = "
imageGCHighThresholdPercent: \"85\"
imageGCLowThresholdPercent: 8000000000
imageMinimumGCAge: 120
imageMaximumGCAge: hunter2
evictionHard: [hunter2]
evictionSoft: {nodefs.available: 5, imagefs.available: 7%}
mergeDefaultEvictionSettings: hunter2
podLogsDir: {}
featureGates: {A: hunter2}
";
        let parsed = parse(text.as_bytes()).unwrap();
        assert_eq!(
            parsed.problems,
            [
                "imageGCHighThresholdPercent: not a whole number",
                "imageGCLowThresholdPercent: not a whole number",
                "imageMinimumGCAge: not a duration such as 2m30s",
                "imageMaximumGCAge: not a duration such as 2m30s",
                "evictionHard: not a mapping",
                "evictionSoft: a value that is not a string",
                "mergeDefaultEvictionSettings: neither true nor false",
                "podLogsDir: not a string",
                "featureGates: a gate that is neither true nor false",
            ]
        );
        let soft = BTreeMap::from([("imagefs.available".to_owned(), Some("7%".to_owned()))]);
        assert_eq!(parsed.settings.eviction_soft, Some(soft));
    }

    #[test]
    fn the_first_document_and_the_last_of_repeated_keys_count() {
        let text = "---\nimageGCHighThresholdPercent: 70\nimageGCHighThresholdPercent: 75\n---\nimageGCHighThresholdPercent: 60\n";
        assert_eq!(settings(text).image_gc_high_threshold_percent, Some(75));
    }

    #[test]
    fn apiversion_and_kind_are_looked_at() {
        let is = |text: &str| parse(text.as_bytes()).unwrap().is_kubelet_configuration;
        assert!(is("kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\n"));
        assert!(!is("kind: KubeletConfiguration\n"));
        assert!(!is("kind: Secret\napiVersion: v1\n"));
    }

    #[test]
    fn bombs_are_refused_in_little_time_and_memory() {
        let alias_level =
            |level: usize| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", "));
        let aliases: Vec<_> = (1..12).map(alias_level).collect();
        let aliases = format!("a0: &a0 [x, x, x, x, x, x, x, x, x]\n{}", aliases.concat());
        let deep_flow = "[".repeat(100_000);
        let deep_block: Vec<_> = (0..500).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
        let deep_block = deep_block.concat();
        let deep_json = format!("{{\"a\": {}", "{\"a\":".repeat(100_000));
        let wide = "- x\n".repeat(250_000);
        for bomb in [aliases, deep_flow, deep_block, deep_json, wide] {
            assert!(matches!(parse(bomb.as_bytes()), Err(FileError::Syntax { .. })), "{bomb:.20}");
        }
    }

    #[test]
    fn what_is_no_configuration_is_refused_by_kind() {
        assert_eq!(parse(b""), Err(FileError::Empty));
        assert_eq!(parse(b"\xff\xfe"), Err(FileError::NotUtf8));
        assert_eq!(parse(b"- a\n"), Err(FileError::NotAMapping));
        assert_eq!(parse(b"# nothing\n"), Err(FileError::NotAMapping));
        assert!(matches!(parse(b"a: [\n"), Err(FileError::Syntax { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            assert_eq!(parse(&bytes).is_err(), parse(&bytes).is_err());
        }

        #[test]
        fn any_text_like_yaml_is_read_without_panic(text in "([a-z&*{}\\[\\]:,#|>!%@\"'\n \t-]|evictionHard: |imageMinimumGCAge: ){0,60}") {
            assert_eq!(parse(text.as_bytes()).is_err(), parse(text.as_bytes()).is_err());
        }
    }
}
