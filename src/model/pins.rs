//! Does a pin keep an image? Two have to play along: the runtime, which has to report an image as pinned, and the kubelet, which
//! has to leave such images out.

use super::release::leading_number;
use super::{Release, Rule, TriState};
use crate::sample::{RuntimeKind, RuntimeSample};

/// Whether pins are honoured in one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinning {
    /// They are.
    Honoured,
    /// It is not known of these releases.
    Unknown,
    /// The kubelet deletes pinned images like others.
    IgnoredByKubelet,
    /// The runtime has no pins, or does not report those that somebody sets.
    IgnoredByRuntime,
}

/// Whether a kubelet of this release with this runtime leaves alone what somebody pins.
pub fn pinning(release: Release, runtime: Option<&RuntimeSample>) -> Pinning {
    let by_kubelet = release.holds(Rule::PinsRespected);
    match (by_kubelet, runtime.map_or(TriState::Unknown, reports_pins)) {
        (TriState::No, _) => Pinning::IgnoredByKubelet,
        (_, TriState::No) => Pinning::IgnoredByRuntime,
        (TriState::Yes, TriState::Yes) => Pinning::Honoured,
        _ => Pinning::Unknown,
    }
}

/// containerd takes its label for a pin from 1.6.30 and 1.7.14 on. CRI-O has `pinned_images` in its configuration: 1.34 was seen to
/// report them, of older ones it is not known here. Docker has nothing of the kind.
fn reports_pins(runtime: &RuntimeSample) -> TriState {
    match runtime.kind {
        RuntimeKind::Docker => TriState::No,
        RuntimeKind::Crio => {
            runtime.version.as_ref().map_or(TriState::Unknown, |version| listed_pins(version.as_str()))
        }
        RuntimeKind::Containerd => {
            runtime.version.as_ref().map_or(TriState::Unknown, |version| label_pins(version.as_str()))
        }
    }
}

fn listed_pins(version: &str) -> TriState {
    let mut numbers = version.strip_prefix('v').unwrap_or(version).splitn(3, '.').map(leading_number);
    match (numbers.next(), numbers.next()) {
        (Some(Some(major)), Some(Some(minor))) if (major, minor) >= (1, 34) => TriState::Yes,
        _ => TriState::Unknown,
    }
}

fn label_pins(version: &str) -> TriState {
    let mut numbers = version.strip_prefix('v').unwrap_or(version).splitn(3, '.').map(leading_number);
    let (Some(Some(major)), Some(Some(minor)), Some(Some(patch))) = (numbers.next(), numbers.next(), numbers.next())
    else {
        return TriState::Unknown;
    };
    let does = match (major, minor) {
        (1, 6) => patch >= 30,
        (1, 7) => patch >= 14,
        _ => major >= 2,
    };
    if does { TriState::Yes } else { TriState::No }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    const V1_37: Release = Release::V1 { minor: 37, patch: 2 };

    fn runtime(kind: RuntimeKind, version: Option<&str>) -> RuntimeSample {
        let version = version.map(Into::into);
        RuntimeSample { kind, pid: 1, started_at: Timestamp::from_micros(0), version, stats_period: None }
    }

    #[test]
    fn containerd_takes_labels_for_pins_from_two_patch_releases_on() {
        let cases = [
            ("v1.7.14", Pinning::Honoured),
            ("1.7.24~ds1", Pinning::Honoured),
            ("v1.7.13", Pinning::IgnoredByRuntime),
            ("v1.6.30", Pinning::Honoured),
            ("1.6.20~ds1", Pinning::IgnoredByRuntime),
            ("v1.5.18", Pinning::IgnoredByRuntime),
            ("v2.0.5-k3s1", Pinning::Honoured),
            ("v2.3.0", Pinning::Honoured),
            ("1.7", Pinning::Unknown),
            ("main", Pinning::Unknown),
            ("", Pinning::Unknown),
        ];
        for (version, expected) in cases {
            let containerd = runtime(RuntimeKind::Containerd, Some(version));
            assert_eq!(pinning(V1_37, Some(&containerd)), expected, "{version:?}");
        }
        assert_eq!(pinning(V1_37, Some(&runtime(RuntimeKind::Containerd, None))), Pinning::Unknown);
        assert_eq!(pinning(V1_37, None), Pinning::Unknown);
    }

    #[test]
    fn docker_has_no_pins_and_of_an_old_cri_o_it_is_not_known() {
        assert_eq!(pinning(V1_37, Some(&runtime(RuntimeKind::Docker, Some("28.4.0")))), Pinning::IgnoredByRuntime);
        let crio = |version| pinning(V1_37, Some(&runtime(RuntimeKind::Crio, version)));
        assert_eq!(crio(Some("1.33.0")), Pinning::Unknown);
        assert_eq!(crio(Some("1.34.0")), Pinning::Honoured);
        assert_eq!(crio(Some("1.35.1-dev")), Pinning::Honoured);
        assert_eq!(crio(Some("unknown")), Pinning::Unknown);
        assert_eq!(crio(None), Pinning::Unknown);
    }

    #[test]
    fn a_kubelet_may_be_too_old_for_pins() {
        let containerd = runtime(RuntimeKind::Containerd, Some("v2.1.4"));
        let with = |minor| pinning(Release::V1 { minor, patch: 0 }, Some(&containerd));
        assert_eq!(with(20), Pinning::IgnoredByKubelet);
        assert_eq!(with(24), Pinning::IgnoredByKubelet);
        assert_eq!(with(29), Pinning::Honoured);
        assert_eq!(pinning(Release::Unknown, Some(&containerd)), Pinning::Unknown);
    }
}
