//! Which of the kubelet's rules hold in which release? Version facts as data, in one table.
//!
//! Read in the sources of one patch release per minor, 1.27.16 to 1.37.2; a row names the function that it was read in.
//! A kubelet whose release is not known gets an answer of its own, [`TriState::Unknown`]: the caller then takes the union,
//! so that more is possible and less is certain.

use crate::sample::KubeletSample;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The release of a kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Release {
    /// Nothing tells it.
    #[default]
    Unknown,
    /// Kubernetes 1.minor.patch.
    V1 {
        /// The minor release, 37 in `v1.37.2`.
        minor: u32,
        /// The patch release.
        patch: u32,
    },
}

/// A rule that not every release follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Images present at the first detection after a start have no minimum age; otherwise it counts anew from every start.
    StartVoidsMinimumAge,
    /// An image GC run lists images and containers first, so that it refreshes every record, even where it needs no space.
    GcRunDetectsImages,
    /// The image named by `--pod-infra-container-image` counts as in use.
    SandboxImageInUse,
    /// Images that the runtime reports as pinned are no candidates.
    PinsRespected,
    /// Use is compared by `image_id` where the runtime sends it, otherwise by `image_ref`.
    InUseByImageId,
    /// The feature gate ImageVolume exists: images mounted as volumes can count as in use.
    ImageVolumes,
    /// ... and is on unless the configuration says otherwise.
    ImageVolumesByDefault,
    /// imageMaximumGCAge exists.
    MaximumAge,
    /// ... and its feature gate is on unless the configuration says otherwise.
    MaximumAgeByDefault,
    /// ... and its feature gate can no longer be switched off.
    MaximumAgeLocked,
    /// GC by maximum age waits until the kubelet has run for longer than that.
    MaximumAgeWaits,
    /// Image GC is off at a high threshold of 100 even when a maximum age is set.
    HundredAloneDisables,
    /// imagefs.inodesFree<5% is one of the default hard thresholds.
    ImagefsInodesDefault,
    /// mergeDefaultEvictionSettings exists.
    MergeDefaultEvictionSettings,
    /// `--config-dir` exists.
    ConfigDir,
    /// A negative imageMinimumGCAge is refused.
    NegativeMinimumAgeRefused,
    /// A sync under disk pressure may turn to pods at once, with no image deleted: the containerfs threshold that is derived from
    /// that of imagefs, on one shared disk from that of nodefs, has no reclaim function, and of several thresholds that are met
    /// the order of a map decides which is taken.
    ContainerfsSkipsReclaim,
    /// Containers of a running pod are removed at once when the pod is deleted, not by the next container collection.
    ContainersGoWithPod,
    /// The cloud-provider probe at start delays everything by seconds.
    SlowStart,
}

/// Whether a rule holds in a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriState {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// The release is not known, or the rule was not looked up in it.
    Unknown,
}

/// One row: the rule holds from one minor release to another, both included; `None` is open to that side.
struct Row {
    rule: Rule,
    from: Option<u32>,
    until: Option<u32>,
    /// Minor releases that were neither read nor seen, between the two neighbours that were: the answer is unknown.
    unread: Option<(u32, u32)>,
    /// Minor releases before `from` that got the rule with a patch release, and with which.
    backported: &'static [(u32, u32)],
    source: &'static str,
}

const fn row(rule: Rule, from: Option<u32>, until: Option<u32>, source: &'static str) -> Row {
    Row { rule, from, until, unread: None, backported: &[], source }
}

const fn gap(rule: Rule, from: Option<u32>, until: Option<u32>, unread: (u32, u32), source: &'static str) -> Row {
    Row { rule, from, until, unread: Some(unread), backported: &[], source }
}

/// What changed when. Releases 1.21 to 1.26 were not read; where 1.20 and 1.27 agree, they are taken to agree as well.
const TABLE: [Row; 19] = [
    row(Rule::StartVoidsMinimumAge, None, Some(28), "images/image_gc_manager.go Start, detectImages; seen on 1.20.2"),
    row(Rule::GcRunDetectsImages, Some(29), None, "images/image_gc_manager.go GarbageCollect"),
    row(Rule::SandboxImageInUse, None, Some(28), "images/image_gc_manager.go detectImages; removed by PR 118544"),
    // 1.23 brought the rule (PR 103299), but up to PR 119986 the kubelet dropped what the runtime says: no image counted as pinned.
    Row {
        backported: &[(25, 14), (26, 9), (27, 6), (28, 2)],
        ..row(
            Rule::PinsRespected,
            Some(29),
            None,
            "images/image_gc_manager.go freeSpace; kuberuntime ListImages, PR 119986",
        )
    },
    row(Rule::InUseByImageId, Some(30), None, "kuberuntime/helpers.go toKubeContainer"),
    row(Rule::ImageVolumes, Some(31), None, "images/image_gc_manager.go handleImageVolumes"),
    row(Rule::ImageVolumesByDefault, Some(35), None, "pkg/features/kube_features.go ImageVolume"),
    row(Rule::MaximumAge, Some(29), None, "images/image_gc_manager.go freeOldImages"),
    row(Rule::MaximumAgeByDefault, Some(30), None, "pkg/features/kube_features.go ImageMaximumGCAge"),
    row(Rule::MaximumAgeLocked, Some(35), None, "pkg/features/kube_features.go ImageMaximumGCAge"),
    row(Rule::MaximumAgeWaits, Some(30), None, "images/image_gc_manager.go freeOldImages, beganGC"),
    row(Rule::HundredAloneDisables, None, Some(29), "kubelet.go StartGarbageCollection"),
    row(Rule::ImagefsInodesDefault, Some(30), None, "eviction/defaults_linux.go DefaultEvictionHard"),
    row(Rule::MergeDefaultEvictionSettings, Some(33), None, "cmd/kubelet/app/server.go loadConfigFile"),
    row(Rule::ConfigDir, Some(28), None, "cmd/kubelet/app/server.go mergeKubeletConfigurations"),
    row(Rule::NegativeMinimumAgeRefused, Some(36), None, "apis/config/validation ValidateKubeletConfiguration"),
    row(Rule::ContainerfsSkipsReclaim, Some(29), Some(31), "eviction/helpers.go buildSignalToNodeReclaimFuncs"),
    gap(Rule::ContainersGoWithPod, Some(27), None, (21, 26), "kubelet.go cleanUpContainersInPod"),
    gap(
        Rule::SlowStart,
        None,
        Some(20),
        (21, 36),
        "in-tree cloud providers; 6.3 to 7.3 s on 1.20.2, 0.15 to 0.5 s on 1.37.2",
    ),
];

impl Release {
    /// The release of a running kubelet, as far as something tells it.
    pub fn of(kubelet: &KubeletSample) -> Self {
        kubelet.release().map_or(Self::Unknown, |release| Self::parse(release.as_str()))
    }

    /// From a version as the kubelet, the API or a distribution writes it: `v1.37.2`, `1.30.2+k3s1`, `Kubernetes
    /// v1.31.0-rc.1`. Anything else, another major release included, is [`Release::Unknown`].
    pub fn parse(text: &str) -> Self {
        let text = text.trim().strip_prefix("Kubernetes ").unwrap_or(text.trim());
        let mut numbers = text.strip_prefix('v').unwrap_or(text).splitn(3, '.').map(leading_number);
        match (numbers.next().flatten(), numbers.next().flatten(), numbers.next()) {
            (Some(1), Some(minor), patch) => Self::V1 { minor, patch: patch.flatten().unwrap_or(0) },
            _ => Self::Unknown,
        }
    }

    /// Whether a rule holds in this release.
    pub fn holds(self, rule: Rule) -> TriState {
        let Self::V1 { minor, patch } = self else { return TriState::Unknown };
        let Some(row) = TABLE.iter().find(|row| row.rule == rule) else { return TriState::Unknown };
        if row.unread.is_some_and(|(first, last)| (first..=last).contains(&minor)) {
            return TriState::Unknown;
        }
        let within = row.from.is_none_or(|from| minor >= from) && row.until.is_none_or(|until| minor <= until);
        let backported = row.backported.iter().any(|(release, from)| *release == minor && patch >= *from);
        if within || backported { TriState::Yes } else { TriState::No }
    }
}

impl Rule {
    /// Where the rule was read or seen: a path below kubernetes/pkg/kubelet unless it says otherwise, and the function.
    pub fn source(self) -> &'static str {
        TABLE.iter().find(|row| row.rule == self).map_or("", |row| row.source)
    }
}

impl TriState {
    /// Whether the rule certainly holds.
    pub const fn is_certain(self) -> bool {
        matches!(self, Self::Yes)
    }

    /// Whether both hold.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }

    /// Whether the rule may hold.
    pub const fn is_possible(self) -> bool {
        matches!(self, Self::Yes | Self::Unknown)
    }
}

/// The number that a part of a version begins with.
pub(super) fn leading_number(part: &str) -> Option<u32> {
    let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
    part.get(..digits)?.parse().ok()
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.pad("unknown"),
            Self::V1 { minor, patch } => f.pad(&format!("v1.{minor}.{patch}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v1(minor: u32) -> Release {
        Release::V1 { minor, patch: 0 }
    }

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        let cases = [
            ("v1.37.2", Release::V1 { minor: 37, patch: 2 }),
            ("1.20.2", Release::V1 { minor: 20, patch: 2 }),
            ("v1.30.2+k3s1", Release::V1 { minor: 30, patch: 2 }),
            ("Kubernetes v1.31.0-rc.1", Release::V1 { minor: 31, patch: 0 }),
            ("v1.29+", Release::V1 { minor: 29, patch: 0 }),
            ("v2.0.0", Release::Unknown),
            ("", Release::Unknown),
            ("v1", Release::Unknown),
            ("v1.x.3", Release::Unknown),
            ("v1.99999999999.3", Release::Unknown),
        ];
        for (text, release) in cases {
            assert_eq!(Release::parse(text), release, "{text:?}");
        }
    }

    #[test]
    fn every_rule_stands_in_the_table_once_with_its_source() {
        for row in &TABLE {
            assert_eq!(TABLE.iter().filter(|other| other.rule == row.rule).count(), 1, "{:?}", row.rule);
            assert!(!row.rule.source().is_empty());
        }
    }

    #[test]
    fn rules_hold_from_and_until_the_releases_that_were_read() {
        let cases = [
            (Rule::StartVoidsMinimumAge, 28, TriState::Yes),
            (Rule::StartVoidsMinimumAge, 29, TriState::No),
            (Rule::GcRunDetectsImages, 28, TriState::No),
            (Rule::GcRunDetectsImages, 29, TriState::Yes),
            (Rule::HundredAloneDisables, 29, TriState::Yes),
            (Rule::HundredAloneDisables, 30, TriState::No),
            (Rule::ImagefsInodesDefault, 29, TriState::No),
            (Rule::ImagefsInodesDefault, 30, TriState::Yes),
            (Rule::MergeDefaultEvictionSettings, 32, TriState::No),
            (Rule::MergeDefaultEvictionSettings, 33, TriState::Yes),
            (Rule::ContainerfsSkipsReclaim, 28, TriState::No),
            (Rule::ContainerfsSkipsReclaim, 30, TriState::Yes),
            (Rule::ContainerfsSkipsReclaim, 32, TriState::No),
            (Rule::PinsRespected, 20, TriState::No),
            (Rule::PinsRespected, 24, TriState::No),
            (Rule::PinsRespected, 29, TriState::Yes),
            (Rule::SlowStart, 20, TriState::Yes),
            (Rule::SlowStart, 33, TriState::Unknown),
            (Rule::SlowStart, 37, TriState::No),
        ];
        for (rule, minor, held) in cases {
            assert_eq!(v1(minor).holds(rule), held, "{rule:?} in 1.{minor}");
        }
        assert_eq!(Release::Unknown.holds(Rule::PinsRespected), TriState::Unknown);
    }

    /// Read in the modules v1.24.17, v1.25.13, v1.25.14, v1.26.8, v1.26.9, v1.27.5, v1.27.6, v1.28.1 and v1.28.2.
    #[test]
    fn pins_count_from_the_patch_releases_on_that_pass_them_on() {
        let respects = |minor, patch| Release::V1 { minor, patch }.holds(Rule::PinsRespected) == TriState::Yes;
        for (minor, patch) in [(25, 14), (26, 9), (27, 6), (28, 2)] {
            assert!(respects(minor, patch) && !respects(minor, patch - 1), "1.{minor}.{patch}");
        }
        assert!(!respects(24, 17) && respects(29, 0));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_release(text: String) {
            Release::parse(&text);
        }

        #[test]
        fn printing_and_reading_is_the_identity(minor: u32, patch: u32) {
            let release = Release::V1 { minor, patch };
            prop_assert_eq!(Release::parse(&release.to_string()), release);
        }
    }
}
