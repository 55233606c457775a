//! How full is a disk, as the kubelet counts and as df counts, and when does image collection start?
//!
//! Mirrors `images/image_gc_manager.go` GarbageCollect, whose integer arithmetic is the same in 1.20 and in 1.27 to
//! 1.37. Products that would overflow Go's int64 (a capacity above 2^63/100 bytes, 82 PiB) are computed exactly here.

use crate::sample::Space;
use crate::units::{Bytes, Percent};

/// The kubelet's usage in percent, 0 to 100: 100 less the available part rounded down. `None` for a capacity of 0,
/// which the kubelet reports as an error and does not act on.
///
/// "Available" is what an ordinary user may still write, so blocks reserved for root count as used.
pub fn kubelet_percent(capacity: Bytes, available: Bytes) -> Option<Percent> {
    let (capacity, available) = (u128::from(capacity.get()), u128::from(available.min(capacity).get()));
    let free = (available * 100).checked_div(capacity)?;
    Some(Percent::new(100_i64.saturating_sub(i64::try_from(free).ok()?)))
}

/// The percentage that df(1) prints as Use%: used of what is used or available to an ordinary user, rounded up. `None`
/// where df prints a dash.
pub fn df_percent(space: &Space) -> Option<Percent> {
    let used = u128::from(space.used().get());
    let total = used + u128::from(space.available.get());
    if total == 0 {
        return None;
    }
    i64::try_from((used * 100).div_ceil(total)).ok().map(Percent::new)
}

/// Whether an image GC run that sees these numbers deletes images: usage at or above the high threshold. `false` for a capacity
/// of 0.
pub fn trips(capacity: Bytes, available: Bytes, high: Percent) -> bool {
    kubelet_percent(capacity, available).is_some_and(|usage| usage >= high)
}

/// The exact threshold: an image GC run deletes images if and only if less than this is available, `available < threshold`.
///
/// With a high threshold of 85 it is 16 % of the capacity, not 15. 0, which nothing is below, for a capacity of 0 and
/// for a threshold above 100; more than the capacity for a threshold of 0, which always trips.
pub fn threshold(capacity: Bytes, high: Percent) -> Bytes {
    // usage >= high  <=>  floor(100 * available / capacity) <= 100 - high  <=>  100 * available < (101 - high) *
    // capacity
    let Ok(hundredths) = u128::try_from(101_i64.saturating_sub(high.get())) else { return Bytes::ZERO };
    let level = (hundredths * u128::from(capacity.get())).div_ceil(100);
    Bytes::new(u64::try_from(level).unwrap_or(u64::MAX))
}

/// What an image GC run above the threshold wants to delete, in the sizes that the runtime reports: down to the low threshold. Negative
/// where more is available than that; the kubelet then still deletes one image.
pub fn bytes_wanted(capacity: Bytes, available: Bytes, low: Percent) -> i64 {
    let keep_free = i128::from(capacity.get()) * i128::from(100_i64.saturating_sub(low.get())) / 100;
    let wanted = keep_free - i128::from(available.min(capacity).get());
    i64::try_from(wanted).unwrap_or(if wanted < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Inodes;
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;

    fn ext4(capacity: u64, used: u64, reserved: u64) -> Space {
        let free = capacity - used;
        Space {
            capacity: Bytes::new(capacity),
            free: Bytes::new(free),
            available: Bytes::new(free.saturating_sub(reserved)),
            files: Inodes::new(0),
            files_free: Inodes::new(0),
        }
    }

    #[test]
    fn worked_examples_of_a_hundred_gib_with_five_percent_reserved() {
        // used in hundredths of a GiB, df, the kubelet's percentage, trips at 85/80, wanted in hundredths of a GiB
        let rows = [
            (75_00, 79, 80, false, 0_00),
            (78_00, 83, 83, false, 3_00),
            (79_00, 84, 84, false, 4_00),
            (79_01, 84, 85, true, 4_01),
            (80_00, 85, 85, true, 5_00),
            (85_00, 90, 90, true, 10_00),
            (95_00, 100, 100, true, 20_00),
        ];
        for (used, df, percent, trip, wanted) in rows {
            // A GiB is not divisible by 100; a capacity of 100 units of 1,073,741,800 bytes is.
            let unit = 10_737_418;
            let space = ext4(10_000 * unit, used * unit, 500 * unit);
            assert_eq!(df_percent(&space), Some(Percent::new(df)), "df at {used}");
            assert_eq!(kubelet_percent(space.capacity, space.available), Some(Percent::new(percent)), "at {used}");
            assert_eq!(trips(space.capacity, space.available, Percent::new(85)), trip, "at {used}");
            let expected = i64::try_from(wanted * unit).unwrap();
            assert_eq!(bytes_wanted(space.capacity, space.available, Percent::new(80)), expected, "at {used}");
        }
    }

    #[test]
    fn a_disk_without_reserved_blocks_trips_above_84_percent_used() {
        let high = Percent::new(85);
        let at = |used| ext4(100 * GIB, used, 0);
        let (before, after) = (at(84 * GIB), at(84 * GIB + 1));
        assert!(!trips(before.capacity, before.available, high));
        assert!(trips(after.capacity, after.available, high));
        assert_eq!(df_percent(&after), Some(Percent::new(85)));
    }

    #[test]
    fn the_prow_node_of_280_gib_trips_below_44_8_gib_available() {
        let capacity = Bytes::from_gib(280);
        // 44.8 GiB = 48,103,633,715.2 bytes: 715 bytes trip, 716 do not.
        assert_eq!(threshold(capacity, Percent::new(85)), Bytes::new(48_103_633_716));
        assert!(trips(capacity, Bytes::new(48_103_633_715), Percent::new(85)));
        assert!(!trips(capacity, Bytes::new(48_103_633_716), Percent::new(85)));
        // 11.2 GiB wanted at the trip.
        assert_eq!(bytes_wanted(capacity, Bytes::new(48_103_633_715), Percent::new(80)), 12_025_908_429);
        // With 14 GiB reserved that is a little above 221.2 GiB used, where df still prints 84 %.
        let tripping = ext4(280 * GIB, 280 * GIB - 14 * GIB - 48_103_633_715, 14 * GIB);
        assert_eq!(tripping.used(), Bytes::new(237_511_691_469));
        assert_eq!(df_percent(&tripping), Some(Percent::new(84)));
    }

    #[test]
    fn the_kubelet_was_seen_to_trip_one_block_below_16_percent_and_not_at_it() {
        // A loop disk of 4 GiB with blocks in a multiple of 100, as in the runs of 1.20.2 and 1.37.2.
        let capacity = 1_000_000 * 4096;
        let at = |available| kubelet_percent(Bytes::new(capacity), Bytes::new(available));
        assert_eq!(at(160_000 * 4096), Some(Percent::new(84)));
        assert_eq!(at(160_000 * 4096 - 4096), Some(Percent::new(85)));
        assert_eq!(at(19_000 * 4096), Some(Percent::new(99)));
        assert_eq!(at(0), Some(Percent::new(100)));
        assert_eq!(
            bytes_wanted(Bytes::new(capacity), Bytes::new(160_000 * 4096 - 4096), Percent::new(80)),
            (200_000 - 160_000 + 1) * 4096
        );
    }

    #[test]
    fn unusual_thresholds_keep_the_kubelets_arithmetic() {
        let capacity = Bytes::new(1000);
        // 99 trips below 2 %, 100 below 1 %: the loop runs at 100 only when a maximum age is set.
        assert_eq!(threshold(capacity, Percent::new(99)), Bytes::new(20));
        assert_eq!(threshold(capacity, Percent::new(100)), Bytes::new(10));
        assert_eq!(threshold(capacity, Percent::new(1)), Bytes::new(1000));
        assert_eq!(threshold(capacity, Percent::new(0)), Bytes::new(1010));
        assert_eq!(threshold(capacity, Percent::new(101)), Bytes::ZERO);
        assert_eq!(bytes_wanted(capacity, Bytes::new(900), Percent::new(80)), -700);
    }

    #[test]
    fn a_capacity_of_zero_is_no_percentage_and_no_trip() {
        assert_eq!(kubelet_percent(Bytes::ZERO, Bytes::ZERO), None);
        assert!(!trips(Bytes::ZERO, Bytes::ZERO, Percent::new(0)));
        assert_eq!(threshold(Bytes::ZERO, Percent::new(85)), Bytes::ZERO);
        assert_eq!(df_percent(&ext4(0, 0, 0)), None);
    }

    #[test]
    fn more_available_than_capacity_counts_as_empty() {
        assert_eq!(kubelet_percent(Bytes::new(10), Bytes::new(11)), Some(Percent::new(0)));
        assert_eq!(bytes_wanted(Bytes::new(10), Bytes::new(11), Percent::new(80)), -8);
    }

    #[test]
    fn sizes_that_overflow_go_are_computed_exactly() {
        let huge = Bytes::new(u64::MAX);
        assert_eq!(kubelet_percent(huge, huge), Some(Percent::new(0)));
        assert_eq!(kubelet_percent(huge, Bytes::ZERO), Some(Percent::new(100)));
        assert_eq!(threshold(huge, Percent::new(85)), Bytes::new(2_951_479_051_793_528_259));
        assert_eq!(threshold(huge, Percent::new(0)), huge);
    }

    prop_compose! {
        fn disk()(capacity in 1_u64.., part in 0.0_f64..=1.0)(
            capacity in Just(capacity),
            available in prop_oneof![
                Just(Bytes::from_f64_saturating(part * Bytes::new(capacity).as_f64()).get().min(capacity)),
                (0..=capacity),
            ],
        ) -> (Bytes, Bytes) {
            (Bytes::new(capacity), Bytes::new(available))
        }
    }

    proptest! {
        #[test]
        fn the_level_separates_tripping_from_not_tripping((capacity, available) in disk(), high in 1_i64..=100) {
            let high = Percent::new(high);
            let level = threshold(capacity, high);
            prop_assert_eq!(trips(capacity, available, high), available < level);
            // On both sides of the very level.
            let below = Bytes::new(level.get() - 1);
            prop_assert!(trips(capacity, below, high));
            prop_assert!(level > capacity || !trips(capacity, level, high));
        }

        #[test]
        fn the_percentage_equals_go_where_go_does_not_overflow(capacity in 1..i64::MAX / 100, part in 0.0_f64..=1.0) {
            let available = Bytes::from_f64_saturating(part * 1e18).as_i64() % (capacity + 1);
            let go = 100 - available * 100 / capacity;
            let ours = kubelet_percent(
                Bytes::new(u64::try_from(capacity).unwrap()),
                Bytes::new(u64::try_from(available).unwrap()),
            );
            prop_assert_eq!(ours, Some(Percent::new(go)));
        }

        #[test]
        fn less_available_never_means_less_usage((capacity, available) in disk(), taken: u64) {
            let less = available.saturating_sub(Bytes::new(taken));
            prop_assert!(kubelet_percent(capacity, less) >= kubelet_percent(capacity, available));
            prop_assert!(bytes_wanted(capacity, less, Percent::new(80)) >= bytes_wanted(capacity, available, Percent::new(80)));
        }

        #[test]
        fn a_higher_threshold_never_strikes_earlier((capacity, _) in disk(), high in 0_i64..100) {
            prop_assert!(threshold(capacity, Percent::new(high + 1)) <= threshold(capacity, Percent::new(high)));
        }
    }
}
