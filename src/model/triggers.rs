//! At which level does each trigger of a layer strike, and how far is it?
//!
//! Says where the lines are, not when they are reached (`forecast/`) nor when the kubelet looks (`schedule.rs`).

use super::eviction::deletes_images;
use super::{EvictionThreshold, GcPolicy, Signal, Trigger, usage};
use crate::sample::{FilesystemId, Space};
use crate::time::Span;

/// The line of one trigger on one filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerLevel {
    /// Which trigger.
    pub trigger: Trigger,
    /// The eviction signal with the highest threshold, where an eviction signal is behind it.
    pub signal: Option<Signal>,
    /// The filesystem that it watches.
    pub filesystem: FilesystemId,
    /// The trigger fires if and only if less than this is available: bytes, or inodes for inode_eviction. At least 1.
    pub threshold: u64,
    /// How many bytes (or inodes) can still be used up without firing it: what is available less `threshold`. 0: one
    /// more fires it; -1: one must be freed. `None` where the space was not measured.
    pub headroom: Option<i64>,
    /// How long the line must stay crossed before the kubelet acts: zero unless it is that of a soft threshold.
    pub grace_period: Span,
}

/// A filesystem and what was measured of it, if anything was.
type Measured<'a> = Option<(FilesystemId, &'a Space)>;

/// The line of every armed trigger, in the order of [`Trigger::ALL`]; what is not in the list cannot strike.
///
/// An eviction trigger appears once for each filesystem that it watches, with the highest of its hard thresholds there,
/// or, where there is none, the highest soft one. Thresholds of 0 cannot be met and are left out. `imagefs` and
/// `nodefs` with the same identity are one filesystem to the kubelet. A filesystem that is `None` arms nothing.
pub fn levels(policy: &GcPolicy, imagefs: Measured<'_>, nodefs: Measured<'_>) -> Vec<TriggerLevel> {
    let mut levels = Vec::new();
    // A kubelet that cannot measure the disk of its images ends every eviction pass there, nodefs and memory included
    // (eviction_manager.go synchronize: HasDedicatedImageFs, or from 1.29 on the summary, fails).
    let nodefs_alone = nodefs.filter(|_| imagefs.is_none());
    if nodefs_alone.is_some() {
        return disk_full(nodefs_alone).into_iter().collect();
    }
    if let Some((id, space)) = imagefs
        && policy.image_gc.enabled
    {
        let line = usage::threshold(space.capacity, policy.image_gc.high.value).get();
        levels.extend(level(Trigger::ImageGc, None, id, line, space.available.get()));
    }
    levels.extend(evictions(policy, imagefs, nodefs).filter_map(|(hard, soft)| hard.or(soft)));
    levels.extend(disk_full(imagefs.or(nodefs)));
    levels
}

/// The soft lines beside the hard ones of [`levels`]: which of the two a kubelet acts on first is a matter of time, since it
/// waits out the grace period of a soft one. One that is not higher than the hard line never comes first and is left out.
pub fn soft_levels(policy: &GcPolicy, imagefs: Measured<'_>, nodefs: Measured<'_>) -> Vec<TriggerLevel> {
    let beside = |(hard, soft): (Option<TriggerLevel>, Option<TriggerLevel>)| {
        let hard = hard?;
        soft.filter(|soft| soft.threshold > hard.threshold)
    };
    evictions(policy, imagefs, nodefs).filter_map(beside).collect()
}

/// For each eviction trigger and filesystem the highest hard line and the highest soft one.
fn evictions<'a>(
    policy: &'a GcPolicy,
    imagefs: Measured<'a>,
    nodefs: Measured<'a>,
) -> impl Iterator<Item = (Option<TriggerLevel>, Option<TriggerLevel>)> + 'a {
    let same = matches!((imagefs, nodefs), (Some((image, _)), Some((node, _))) if image == node);
    let watched: [Measured<'_>; 2] = if same { [imagefs, None] } else { [imagefs, nodefs] };
    let triggers = [Trigger::ImageEviction, Trigger::PodEviction, Trigger::InodeEviction];
    triggers.into_iter().flat_map(move |trigger| {
        let measured = watched.into_iter().enumerate().filter_map(|(index, filesystem)| Some((index, filesystem?)));
        measured.map(move |(index, (id, space))| {
            let here =
                |signal: Signal| (same || signal.is_imagefs() == (index == 0)) && concerns(trigger, signal, same);
            let hard = policy.eviction_hard.iter().map(|threshold| (threshold, Span::ZERO));
            let soft = policy.eviction_soft.iter().map(|soft| (&soft.threshold, soft.grace_period));
            (highest(hard, trigger, id, space, here), highest(soft, trigger, id, space, here))
        })
    })
}

/// The line that no setting moves: nothing is available to an ordinary writer any more.
pub fn disk_full(filesystem: Measured<'_>) -> Option<TriggerLevel> {
    let (id, space) = filesystem?;
    level(Trigger::DiskFull, None, id, 1, space.available.get())
}

/// Whether a signal can set off a trigger.
fn concerns(trigger: Trigger, signal: Signal, same_filesystem: bool) -> bool {
    match trigger {
        Trigger::ImageEviction => !signal.counts_inodes() && deletes_images(signal, same_filesystem),
        // Image pressure ends with pods too, where deleting images was not enough.
        Trigger::PodEviction => !signal.counts_inodes(),
        Trigger::InodeEviction => signal.counts_inodes(),
        Trigger::ImageGc | Trigger::DiskFull => false,
    }
}

/// The line of those of these thresholds that is met first; each comes with its grace period.
fn highest<'a>(
    thresholds: impl DoubleEndedIterator<Item = (&'a EvictionThreshold, Span)>,
    trigger: Trigger,
    id: FilesystemId,
    space: &Space,
    concerned: impl Fn(Signal) -> bool,
) -> Option<TriggerLevel> {
    let concerned = thresholds.filter(|(threshold, _)| concerned(threshold.signal));
    let lines = concerned.filter_map(|(threshold, grace_period)| {
        Some(TriggerLevel { grace_period, ..line(threshold, trigger, id, space)? })
    });
    // `max_by_key` takes the last of equals; the first signal of Signal::ALL is the better name.
    lines.rev().max_by_key(|level| level.threshold)
}

fn line(threshold: &EvictionThreshold, trigger: Trigger, id: FilesystemId, space: &Space) -> Option<TriggerLevel> {
    let (capacity, available) = if trigger == Trigger::InodeEviction {
        (space.files.get(), space.files_free.get())
    } else {
        (space.capacity.get(), space.available.get())
    };
    level(trigger, Some(threshold.signal), id, threshold.value.of(capacity), available)
}

/// A line, unless nothing can be below it.
fn level(
    trigger: Trigger,
    signal: Option<Signal>,
    id: FilesystemId,
    line: u64,
    available: u64,
) -> Option<TriggerLevel> {
    let distance = i128::from(available) - i128::from(line);
    let headroom = i64::try_from(distance).unwrap_or(if distance < 0 { i64::MIN } else { i64::MAX });
    (line > 0).then_some(TriggerLevel {
        trigger,
        signal,
        filesystem: id,
        threshold: line,
        headroom: Some(headroom),
        grace_period: Span::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ImageGcPolicy, Origin, Release, Setting, SoftThreshold, ThresholdValue};
    use crate::units::{Bytes, Inodes, Percent};
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;

    fn filesystem(dev: u64) -> FilesystemId {
        FilesystemId { dev, capacity: Bytes::from_gib(100), files: Inodes::new(1_000_000) }
    }

    fn space(available: u64, files_free: u64) -> Space {
        Space {
            capacity: Bytes::from_gib(100),
            free: Bytes::new(available),
            available: Bytes::new(available),
            files: Inodes::new(1_000_000),
            files_free: Inodes::new(files_free),
        }
    }

    fn defaults() -> GcPolicy {
        GcPolicy::effective(None, Release::Unknown)
    }

    fn lines(levels: &[TriggerLevel]) -> Vec<(&'static str, &'static str, u64, u64, i64)> {
        let line = |level: &TriggerLevel| {
            let signal = level.signal.map_or("", Signal::as_str);
            (level.trigger.as_str(), signal, level.filesystem.dev, level.threshold, level.headroom.unwrap())
        };
        levels.iter().map(line).collect()
    }

    #[test]
    fn on_one_filesystem_the_higher_eviction_threshold_counts() {
        let (id, space) = (filesystem(1), space(20 * GIB, 500_000));
        let levels = levels(&defaults(), Some((id, &space)), Some((id, &space)));
        assert_eq!(
            lines(&levels),
            [
                ("image_gc", "", 1, 16 * GIB, 4_294_967_296),
                ("image_eviction", "imagefs.available", 1, 16_106_128_000, 5_368_708_480),
                ("pod_eviction", "imagefs.available", 1, 16_106_128_000, 5_368_708_480),
                ("inode_eviction", "nodefs.inodesFree", 1, 50_000, 450_000),
                ("disk_full", "", 1, 1, 21_474_836_479),
            ]
        );
    }

    #[test]
    fn a_dedicated_image_disk_has_its_own_lines() {
        let (image, node) = (space(20 * GIB, 500_000), space(50 * GIB, 40_000));
        let levels = levels(&defaults(), Some((filesystem(1), &image)), Some((filesystem(2), &node)));
        assert_eq!(
            lines(&levels),
            [
                ("image_gc", "", 1, 16 * GIB, 4_294_967_296),
                ("image_eviction", "imagefs.available", 1, 16_106_128_000, 5_368_708_480),
                ("pod_eviction", "imagefs.available", 1, 16_106_128_000, 5_368_708_480),
                ("pod_eviction", "nodefs.available", 2, 10_737_418_400, 42_949_672_800),
                ("inode_eviction", "imagefs.inodesFree", 1, 50_000, 450_000),
                ("inode_eviction", "nodefs.inodesFree", 2, 50_000, -10_000),
                ("disk_full", "", 1, 1, 21_474_836_479),
            ]
        );
    }

    #[test]
    fn a_higher_nodefs_threshold_deletes_images_on_one_filesystem_only() {
        let mut policy = defaults();
        policy.eviction_hard.retain(|threshold| threshold.signal == Signal::NodefsAvailable);
        let space = space(20 * GIB, 500_000);
        let expected_triggers = |node| {
            let levels = levels(&policy, Some((filesystem(1), &space)), Some((filesystem(node), &space)));
            levels.iter().filter(|level| level.trigger == Trigger::ImageEviction).count()
        };
        assert_eq!((expected_triggers(1), expected_triggers(2)), (1, 0));
    }

    #[test]
    fn what_is_off_is_not_in_the_list() {
        let off = GcPolicy {
            image_gc: ImageGcPolicy { enabled: false, ..defaults().image_gc },
            eviction_hard: Vec::new(),
            ..defaults()
        };
        let (id, space) = (filesystem(1), space(GIB, 10));
        let levels = levels(&off, Some((id, &space)), Some((id, &space)));
        assert_eq!(lines(&levels), [("disk_full", "", 1, 1, 1_073_741_823)]);
    }

    #[test]
    fn an_unmeasured_filesystem_arms_nothing() {
        let (id, space) = (filesystem(2), space(GIB, 10));
        assert_eq!(levels(&defaults(), None, None), []);
        let found = levels(&defaults(), None, Some((id, &space)));
        let names: Vec<_> = found.iter().map(|level| level.trigger.as_str()).collect();
        assert_eq!(names, ["disk_full"], "as with the kubelet, which then evicts nothing");
    }

    #[test]
    fn a_percentage_of_no_inodes_is_no_line() {
        let space = Space { files: Inodes::new(0), files_free: Inodes::new(0), ..space(GIB, 0) };
        let id = FilesystemId { files: Inodes::new(0), ..filesystem(1) };
        let levels = levels(&defaults(), Some((id, &space)), Some((id, &space)));
        assert!(levels.iter().all(|level| level.trigger != Trigger::InodeEviction));
    }

    #[test]
    fn a_soft_threshold_stands_in_where_no_hard_one_is_set() {
        let soft = |signal, fraction, hours: i64| SoftThreshold {
            threshold: EvictionThreshold {
                signal,
                value: ThresholdValue::Fraction(fraction),
                origin: Origin::Flag,
                minimum_reclaim: None,
            },
            grace_period: Span::from_secs(hours * 3600),
        };
        let mut policy = defaults();
        policy.eviction_soft = vec![soft(Signal::NodefsAvailable, 0.25, 1), soft(Signal::ImagefsAvailable, 0.5, 2)];
        let (id, space) = (filesystem(1), space(40 * GIB, 500_000));
        let find = |policy: &GcPolicy| {
            let levels = levels(policy, Some((id, &space)), Some((id, &space)));
            let level = levels.into_iter().find(|level| level.trigger == Trigger::ImageEviction).unwrap();
            (level.threshold, level.grace_period)
        };
        assert_eq!(find(&policy), (16_106_128_000, Span::ZERO));
        let beside = |policy: &GcPolicy| {
            let levels = soft_levels(policy, Some((id, &space)), Some((id, &space)));
            levels.iter().map(|level| (level.trigger, level.threshold)).collect::<Vec<_>>()
        };
        assert_eq!(beside(&policy), [(Trigger::ImageEviction, 50 * GIB), (Trigger::PodEviction, 50 * GIB)]);
        let lower = GcPolicy { eviction_soft: vec![soft(Signal::ImagefsAvailable, 0.02, 1)], ..policy.clone() };
        assert_eq!(beside(&lower), []);
        policy.eviction_hard.clear();
        assert_eq!(beside(&policy), [], "they stand in already");
        assert_eq!(find(&policy), (50 * GIB, Span::from_secs(7200)));
    }

    #[test]
    fn headroom_is_what_can_be_written_without_striking() {
        let id = filesystem(1);
        let headroom = |available| {
            let space = space(available, 1);
            levels(&defaults(), Some((id, &space)), None)[0].headroom
        };
        assert_eq!(headroom(16 * GIB + 5), Some(5));
        assert_eq!(headroom(16 * GIB), Some(0));
        assert_eq!(headroom(16 * GIB - 1), Some(-1));
    }

    proptest! {
        #[test]
        fn writing_the_headroom_strikes_not_and_one_byte_more_does(available in 16 * GIB..=100 * GIB, high in 1_i64..=99) {
            let mut policy = defaults();
            policy.image_gc.high = Setting { value: Percent::new(high), origin: Origin::Flag };
            let space = space(available, 1);
            let level = levels(&policy, Some((filesystem(1), &space)), None)[0].clone();
            let trips = |left: i128| usage::trips(
                space.capacity, Bytes::new(u64::try_from(left.max(0)).unwrap()), Percent::new(high),
            );
            let left = i128::from(available) - i128::from(level.headroom.unwrap());
            prop_assert!(!trips(left) || left > i128::from(space.capacity.get()));
            prop_assert!(trips(left - 1));
        }

        #[test]
        fn less_available_never_means_more_headroom(available: u64, taken: u64, files: u64) {
            let (id, more) = (filesystem(1), space(available, files));
            let less = space(available.saturating_sub(taken), files / 2);
            let before = levels(&defaults(), Some((id, &more)), Some((id, &more)));
            let after = levels(&defaults(), Some((id, &less)), Some((id, &less)));
            for (before, after) in before.iter().zip(&after) {
                prop_assert!(after.headroom <= before.headroom);
                prop_assert_eq!(after.threshold, before.threshold);
            }
        }
    }
}
