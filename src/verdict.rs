//! Is anything about to strike? One word for a snapshot, as monitoring plugins give it; pure.

use crate::assess::TriggerAssessment;
use crate::sample::Source;
use crate::snapshot::Snapshot;
use crate::time::Span;
use serde::Serialize;

/// The state of a machine, in rising order of what a reader should do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is foreseen.
    Ok,
    /// A layer's disk could not be measured, so that nobody knows.
    Unknown,
    /// A trigger is foreseen within the warning window.
    Warning,
    /// A trigger has been crossed or is foreseen within the critical window.
    Critical,
}

/// The windows in which a foreseen trigger matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Foreseen (P50) within this: critical.
    pub critical: Span,
    /// Foreseen (P50) within this: warning.
    pub warning: Span,
}

impl Verdict {
    /// The worst of all layers and triggers. A layer without image GC still has its evictions and the full disk.
    pub fn of(snapshot: &Snapshot, windows: Windows) -> Self {
        let triggers = snapshot.assessment.layers.iter().flat_map(|layer| &layer.triggers);
        let blind = snapshot.sample.layers.iter().flat_map(|layer| &layer.sources).any(|source| {
            matches!(source.source, Source::Statfs | Source::KubeletConfig) && source.state.value().is_none()
        });
        Self::worst(triggers.map(|trigger| Self::of_trigger(trigger, windows)), blind)
    }

    /// The worst of all triggers, at least unknown where a disk or a kubelet's settings could not be read.
    pub fn worst(triggers: impl Iterator<Item = Self>, blind: bool) -> Self {
        let worst = triggers.max().unwrap_or(Self::Unknown);
        if blind { worst.max(Self::Unknown) } else { worst }
    }

    /// One trigger. What has no forecast yet is judged by its level alone.
    pub fn of_trigger(trigger: &TriggerAssessment, windows: Windows) -> Self {
        Self::of_line(trigger.headroom, trigger.forecast.and_then(|forecast| forecast.p50), windows)
    }

    /// One trigger by what is left until its line, and the median time to it.
    pub fn of_line(headroom: Option<i64>, foreseen: Option<Span>, windows: Windows) -> Self {
        let crossed = headroom.is_some_and(|headroom| headroom < 0);
        match foreseen {
            _ if crossed => Self::Critical,
            Some(span) if span <= windows.critical => Self::Critical,
            Some(span) if span <= windows.warning => Self::Warning,
            _ => Self::Ok,
        }
    }

    /// The exit code of `highwater check`: that of Nagios plugins, which node-problem-detector reads as well.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// One word in capitals, as plugins print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Forecast;
    use crate::model::Trigger;
    use crate::sample::FilesystemId;
    use crate::units::{Bytes, Inodes, Ratio};

    const WINDOWS: Windows = Windows { critical: Span::from_secs(1_800), warning: Span::from_secs(7_200) };

    fn trigger(headroom: i64, p50: Option<i64>) -> TriggerAssessment {
        let p50 = p50.map(Span::from_secs);
        TriggerAssessment {
            trigger: Trigger::ImageGc,
            signal: None,
            filesystem: FilesystemId { dev: 1, capacity: Bytes::ZERO, files: Inodes::new(0) },
            threshold: 1,
            headroom: Some(headroom),
            forecast: Some(Forecast { p10: p50, p50, p90: p50, probability: [Ratio::new(0.0); 4] }),
            action: None,
        }
    }

    #[test]
    fn a_trigger_is_judged_by_its_level_and_by_its_forecast() {
        let cases = [
            (trigger(-1, None), Verdict::Critical),
            (trigger(5, Some(1_800)), Verdict::Critical),
            (trigger(5, Some(1_801)), Verdict::Warning),
            (trigger(5, Some(7_201)), Verdict::Ok),
            (trigger(0, None), Verdict::Ok),
        ];
        for (trigger, expected) in cases {
            assert_eq!(Verdict::of_trigger(&trigger, WINDOWS), expected, "{trigger:?}");
        }
    }

    #[test]
    fn exit_codes_are_those_of_plugins() {
        let codes = [Verdict::Ok, Verdict::Warning, Verdict::Critical, Verdict::Unknown].map(Verdict::exit_code);
        assert_eq!(codes, [0, 1, 2, 3]);
    }
}
