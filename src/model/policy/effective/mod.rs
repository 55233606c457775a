//! Which of the sources that a kubelet's setting is written in wins?
//!
//! Built-in defaults, the `--config` file, drop-ins below `--config-dir`, flags: the later wins, with the exceptions
//! noted at each step. Mirrors `cmd/kubelet/app/server.go` loadConfigFile, mergeKubeletConfigurations and
//! kubeletConfigFlagPrecedence, `apis/config/v1beta1/defaults.go` and `apis/config/validation`.

use super::{EvictionThreshold, GcPolicy, ImageGcPolicy, Origin, Setting, SoftThreshold};
use crate::model::quantity::{ThresholdError, ThresholdValue, parse_minimum_reclaim, parse_threshold};
use crate::model::{Release, Rule, Signal};
use crate::sample::{KubeletConfig, KubeletSample, KubeletSettings, parse_go_duration};
use crate::time::Span;
use crate::units::Percent;
use crate::untrusted::Label;
use std::collections::BTreeMap;

/// apis/config/v1beta1/defaults.go: 85 and 80 percent, 2 and 5 minutes.
const DEFAULT_HIGH: i64 = 85;
const DEFAULT_LOW: i64 = 80;
const DEFAULT_MINIMUM_AGE: Span = Span::from_secs(120);
const DEFAULT_TRANSITION: Span = Span::from_secs(300);

/// Signals that a kubelet accepts and that concern no disk, or that it derives from others whatever is configured.
const OTHER_SIGNALS: [&str; 5] = [
    "memory.available",
    "allocatableMemory.available",
    "pid.available",
    "containerfs.available",
    "containerfs.inodesFree",
];

/// A map of the configuration as merged so far: signal to value as written and where it was written.
type Merged = BTreeMap<String, (String, Origin)>;

/// A map field of one place: `None` where it says nothing, a `None` value for a JSON null.
type Written = Option<BTreeMap<String, Option<String>>>;

impl GcPolicy {
    /// The policy of a running kubelet, with a problem noted where its files were changed after it had started; `None`: the
    /// kubelet's defaults, assumed, as also where its settings cannot be read.
    pub fn of(kubelet: Option<&KubeletSample>) -> Self {
        let config = kubelet.and_then(|kubelet| kubelet.config.value());
        let mut policy = Self::effective(config, kubelet.map_or(Release::Unknown, Release::of));
        let modified_at = config.and_then(|config| config.modified_at);
        // The start of a process is known to 10 ms, and it reads its files some 0.1 s later.
        let changed = |kubelet: &KubeletSample| modified_at > Some(kubelet.started_at + Span::from_secs(1));
        if kubelet.is_some_and(changed) {
            let text =
                "files were changed after the kubelet started: what is read here may hold from its next start on";
            policy.problems.push(Label::new(text));
        }
        policy
    }

    /// The policy that a kubelet of this release runs with; `None` for the configuration: the kubelet's defaults,
    /// assumed.
    ///
    /// For an unknown release the wider answer is given: a threshold that some release has is in the list, and the loop
    /// runs where it runs in some release. A value that the kubelet would refuse is left out and named in `problems`.
    pub fn effective(config: Option<&KubeletConfig>, release: Release) -> Self {
        let assumed;
        let (config, sources) = if let Some(config) = config {
            (config, SettingSources::of(config, Origin::Default))
        } else {
            assumed = KubeletConfig::default();
            (&assumed, SettingSources::of(&assumed, Origin::Assumed))
        };
        let mut problems = config.problems.clone();
        let image_gc = image_gc(&sources, release, &mut problems);
        let reclaims = minimum_reclaims(&sources, &mut problems);
        let hard = hard_statements(&sources, release);
        let eviction_hard = thresholds("evictionHard", &hard, &reclaims, &mut problems);
        let eviction_soft = soft(&sources, &reclaims, &mut problems);
        let pressure_transition_period =
            sources.duration("evictionPressureTransitionPeriod", DEFAULT_TRANSITION, |settings| {
                settings.eviction_pressure_transition_period
            });
        Self { image_gc, eviction_hard, eviction_soft, pressure_transition_period, problems }
    }
}

/// The sources in rising precedence, each with its origin.
struct SettingSources<'a> {
    file: Option<(Origin, &'a KubeletSettings)>,
    drop_ins: Vec<(Origin, &'a KubeletSettings)>,
    flags: &'a KubeletSettings,
    /// What to call a default here.
    default: Origin,
}

impl<'a> SettingSources<'a> {
    fn of(config: &'a KubeletConfig, default: Origin) -> Self {
        Self {
            file: config.file.as_ref().map(|file| (Origin::File(file.path.clone()), &file.settings)),
            drop_ins: config.drop_ins.iter().map(|file| (Origin::DropIn(file.path.clone()), &file.settings)).collect(),
            flags: &config.flags,
            default,
        }
    }

    fn files(&self) -> impl Iterator<Item = &(Origin, &'a KubeletSettings)> {
        self.file.iter().chain(&self.drop_ins)
    }

    /// A scalar that files keep as a pointer: 0 is a value, a null takes back what earlier files said.
    fn scalar<T: Copy>(
        &self,
        field: &str,
        default: T,
        get: impl Fn(&KubeletSettings) -> Option<T>,
        mut accept: impl FnMut(&T, &Origin) -> bool,
    ) -> Setting<T> {
        let mut setting = Setting { value: default, origin: self.default.clone() };
        for (origin, settings) in self.files() {
            if settings.nulls.contains(field) {
                setting = Setting { value: default, origin: self.default.clone() };
            }
            if let Some(value) = get(settings).filter(|value| accept(value, origin)) {
                setting = Setting { value, origin: origin.clone() };
            }
        }
        match get(self.flags).filter(|value| accept(value, &Origin::Flag)) {
            Some(value) => Setting { value, origin: Origin::Flag },
            None => setting,
        }
    }

    /// A duration with a default: 0 in a file means the default, 0 by flag stays.
    fn duration(&self, field: &str, default: Span, get: impl Fn(&KubeletSettings) -> Option<Span>) -> Setting<Span> {
        let mut setting = self.scalar(field, default, get, |_, _| true);
        if setting.value == Span::ZERO && setting.origin != Origin::Flag {
            setting = Setting { value: default, origin: self.default.clone() };
        }
        setting
    }

    /// A map: the file's replaces `base`, drop-ins merge key by key, a flag replaces everything.
    fn map(
        &self,
        field: &str,
        base: impl Fn(Option<&KubeletSettings>) -> Merged,
        get: impl Fn(&KubeletSettings) -> &Written,
    ) -> Merged {
        if let Some(flag) = get(self.flags) {
            return entries(flag, &Origin::Flag);
        }
        let mut merged = base(self.file.as_ref().map(|(_, settings)| *settings));
        if let Some((origin, settings)) = &self.file
            && let Some(map) = get(settings)
        {
            merged.extend(entries(map, origin));
        }
        for (origin, settings) in &self.drop_ins {
            if settings.nulls.contains(field) {
                merged.clear();
            }
            for (key, value) in get(settings).iter().flatten() {
                match value {
                    Some(value) => drop(merged.insert(key.clone(), (value.clone(), origin.clone()))),
                    None => drop(merged.remove(key)),
                }
            }
        }
        merged
    }
}

/// A null outside a drop-in is Go's empty string; it is kept, and refused where it is read.
fn entries(map: &BTreeMap<String, Option<String>>, origin: &Origin) -> Merged {
    map.iter().map(|(key, value)| (key.clone(), (value.clone().unwrap_or_default(), origin.clone()))).collect()
}

fn image_gc(sources: &SettingSources<'_>, release: Release, problems: &mut Vec<Label>) -> ImageGcPolicy {
    let mut percent = |field: &str, default, get: fn(&KubeletSettings) -> Option<i64>| {
        let setting = sources.scalar(field, default, get, |value, origin| {
            let allowed = (0..=100).contains(value);
            if !allowed {
                problems.push(problem(field, origin, "not between 0 and 100"));
            }
            allowed
        });
        Setting { value: Percent::new(setting.value), origin: setting.origin }
    };
    let high = percent("imageGCHighThresholdPercent", DEFAULT_HIGH, |s| s.image_gc_high_threshold_percent);
    let low = percent("imageGCLowThresholdPercent", DEFAULT_LOW, |s| s.image_gc_low_threshold_percent);
    if low.value >= high.value {
        let text =
            format!("low threshold {} is not below high threshold {}: a kubelet does not start", low.value, high.value);
        problems.push(Label::from(text));
    }
    let minimum_age = sources.duration("imageMinimumGCAge", DEFAULT_MINIMUM_AGE, |s| s.image_minimum_gc_age);
    if minimum_age.value < Span::ZERO && release.holds(Rule::NegativeMinimumAgeRefused).is_certain() {
        problems.push(problem("imageMinimumGCAge", &minimum_age.origin, "negative"));
    }
    let maximum_age = maximum_age(sources, release, &minimum_age, problems);
    let hundred_disables = release.holds(Rule::HundredAloneDisables).is_certain() || maximum_age.is_none();
    ImageGcPolicy { enabled: high.value < Percent::new(100) || !hundred_disables, high, low, minimum_age, maximum_age }
}

/// imageMaximumGCAge where the release has it and its gate is on; 0 and absent mean off.
fn maximum_age(
    sources: &SettingSources<'_>,
    release: Release,
    minimum_age: &Setting<Span>,
    problems: &mut Vec<Label>,
) -> Option<Setting<Span>> {
    let setting = sources.scalar("imageMaximumGCAge", Span::ZERO, |s| s.image_maximum_gc_age, |_, _| true);
    if setting.value == Span::ZERO || !release.holds(Rule::MaximumAge).is_possible() {
        return None;
    }
    let on = release.holds(Rule::MaximumAgeLocked).is_certain()
        || gate(sources, "ImageMaximumGCAge").unwrap_or(release.holds(Rule::MaximumAgeByDefault).is_possible());
    let refused = if !on {
        "needs the feature gate ImageMaximumGCAge"
    } else if setting.value < Span::ZERO {
        "negative"
    } else if setting.value <= minimum_age.value {
        "not above imageMinimumGCAge"
    } else {
        return Some(setting);
    };
    problems.push(problem("imageMaximumGCAge", &setting.origin, refused));
    None
}

/// What the configuration says of a feature gate; flags win for each gate by itself.
fn gate(sources: &SettingSources<'_>, name: &str) -> Option<bool> {
    let said = |settings: &KubeletSettings| settings.feature_gates.as_ref().and_then(|gates| gates.get(name).copied());
    said(sources.flags).or_else(|| sources.files().filter_map(|(_, settings)| said(settings)).last())
}

/// The hard thresholds as text. Defaults exist only where a `--config` file is loaded that does not set the map, or
/// that asks for the missing ones; a kubelet with flags alone, or with drop-ins alone, has none.
fn hard_statements(sources: &SettingSources<'_>, release: Release) -> Merged {
    let base = |file: Option<&KubeletSettings>| {
        let wanted = match file {
            Some(file) if file.eviction_hard.is_none() => true,
            Some(file) => {
                file.merge_default_eviction_settings == Some(true)
                    && release.holds(Rule::MergeDefaultEvictionSettings).is_possible()
            }
            None => sources.default == Origin::Assumed,
        };
        if wanted { default_hard(release, &sources.default) } else { Merged::new() }
    };
    sources.map("evictionHard", base, |settings| &settings.eviction_hard)
}

/// eviction/defaults_linux.go DefaultEvictionHard, its disk signals.
fn default_hard(release: Release, origin: &Origin) -> Merged {
    [
        ("nodefs.available", "10%"),
        ("nodefs.inodesFree", "5%"),
        ("imagefs.available", "15%"),
        ("imagefs.inodesFree", "5%"),
    ]
    .into_iter()
    .filter(|(signal, _)| *signal != "imagefs.inodesFree" || release.holds(Rule::ImagefsInodesDefault).is_possible())
    .map(|(signal, value)| (signal.to_owned(), (value.to_owned(), origin.clone())))
    .collect()
}

fn minimum_reclaims(sources: &SettingSources<'_>, problems: &mut Vec<Label>) -> BTreeMap<Signal, ThresholdValue> {
    let statements = sources.map("evictionMinimumReclaim", |_| Merged::new(), |s| &s.eviction_minimum_reclaim);
    disk_signals("evictionMinimumReclaim", &statements, problems, |text| parse_minimum_reclaim(text).map(Some))
        .into_iter()
        .map(|(signal, value, _)| (signal, value))
        .collect()
}

fn soft(
    sources: &SettingSources<'_>,
    reclaims: &BTreeMap<Signal, ThresholdValue>,
    problems: &mut Vec<Label>,
) -> Vec<SoftThreshold> {
    let statements = sources.map("evictionSoft", |_| Merged::new(), |s| &s.eviction_soft);
    let periods = sources.map("evictionSoftGracePeriod", |_| Merged::new(), |s| &s.eviction_soft_grace_period);
    let thresholds = thresholds("evictionSoft", &statements, reclaims, problems);
    let with_grace = thresholds.into_iter().filter_map(|threshold| {
        let signal = threshold.signal;
        let period = periods.get(signal.as_str()).map(|(text, origin)| (parse_go_duration(text), origin));
        let wrong = match period {
            Some((Some(grace_period), _)) if grace_period >= Span::ZERO => {
                return Some(SoftThreshold { threshold, grace_period });
            }
            Some((_, origin)) => problem_of("evictionSoftGracePeriod", signal.as_str(), origin, "not a duration"),
            None => problem_of("evictionSoft", signal.as_str(), &threshold.origin, "has no grace period"),
        };
        problems.push(wrong);
        None
    });
    with_grace.collect()
}

fn thresholds(
    field: &str,
    statements: &Merged,
    reclaims: &BTreeMap<Signal, ThresholdValue>,
    problems: &mut Vec<Label>,
) -> Vec<EvictionThreshold> {
    disk_signals(field, statements, problems, parse_threshold)
        .into_iter()
        .map(|(signal, value, origin)| EvictionThreshold {
            signal,
            value,
            origin,
            minimum_reclaim: reclaims.get(&signal).copied(),
        })
        .collect()
}

/// The statements about disks, in the order of [`Signal::ALL`]; those that are off are left out.
fn disk_signals(
    field: &str,
    statements: &Merged,
    problems: &mut Vec<Label>,
    parse: impl Fn(&str) -> Result<Option<ThresholdValue>, ThresholdError>,
) -> Vec<(Signal, ThresholdValue, Origin)> {
    let known = |key: &str| Signal::ALL.iter().any(|signal| signal.as_str() == key) || OTHER_SIGNALS.contains(&key);
    // The name is foreign and may be long: it is counted, not repeated.
    let unknown = statements.keys().filter(|key| !known(key)).count();
    if unknown > 0 {
        problems.push(Label::from(format!("{field}: {unknown} unknown signal(s): a kubelet does not start")));
    }
    let mut found = Vec::new();
    for signal in Signal::ALL {
        let Some((text, origin)) = statements.get(signal.as_str()) else { continue };
        match parse(text) {
            Ok(Some(value)) => found.push((signal, value, origin.clone())),
            Ok(None) => {}
            Err(error) => problems.push(problem_of(field, signal.as_str(), origin, &error.to_string())),
        }
    }
    found
}

fn problem(field: &str, origin: &Origin, text: &str) -> Label {
    Label::from(format!("{field} ({origin}): {text}"))
}

fn problem_of(field: &str, key: &str, origin: &Origin, text: &str) -> Label {
    Label::from(format!("{field}[{key}] ({origin}): {text}"))
}

#[cfg(test)]
mod tests;
