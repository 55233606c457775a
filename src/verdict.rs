//! How bad is a trigger? One word, as monitoring plugins give it; pure.

use crate::time::Span;
use serde::{Deserialize, Serialize};

/// The state of a machine, in rising order of what a reader should do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is expected.
    Ok,
    /// A layer's disk could not be measured, so that nobody knows.
    Unknown,
    /// A trigger is expected within the warning window.
    Warning,
    /// A trigger's threshold is crossed, or it is expected within the critical window.
    Critical,
}

/// The windows in which an expected trigger matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// Expected (P50) within this: critical.
    #[serde(rename = "critical_seconds", with = "crate::form")]
    pub critical: Span,
    /// Expected (P50) within this: warning.
    #[serde(rename = "warning_seconds", with = "crate::form")]
    pub warning: Span,
}

/// Those of the flags: critical within 30 minutes, a warning within two hours.
impl Default for Windows {
    fn default() -> Self {
        Self { critical: Span::from_secs(1_800), warning: Span::from_secs(7_200) }
    }
}

impl Verdict {
    /// One trigger by what is left until its threshold, and the median time until the kubelet acts on it.
    pub fn of(headroom: Option<i64>, acts_in: Option<Span>, windows: Windows) -> Self {
        let crossed = headroom.is_some_and(|headroom| headroom < 0);
        match acts_in {
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

    /// One word for JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_judged_by_its_level_and_by_when_the_kubelet_acts() {
        let cases = [
            (Some(-1), None, Verdict::Critical),
            (Some(5), Some(1_800), Verdict::Critical),
            (Some(5), Some(1_801), Verdict::Warning),
            (Some(5), Some(7_201), Verdict::Ok),
            (Some(0), None, Verdict::Ok),
            (None, Some(7_200), Verdict::Warning),
            (None, None, Verdict::Ok),
        ];
        for (headroom, acts_in, expected) in cases {
            let verdict = Verdict::of(headroom, acts_in.map(Span::from_secs), Windows::default());
            assert_eq!(verdict, expected, "{headroom:?} {acts_in:?}");
        }
    }

    #[test]
    fn exit_codes_are_those_of_plugins() {
        let codes = [Verdict::Ok, Verdict::Warning, Verdict::Critical, Verdict::Unknown].map(Verdict::exit_code);
        assert_eq!(codes, [0, 1, 2, 3]);
    }
}
