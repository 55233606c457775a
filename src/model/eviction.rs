//! At how many bytes or inodes is an eviction threshold met, and what does the kubelet then free first?
//!
//! Mirrors `eviction/helpers.go` thresholdsMet and buildSignalToNodeReclaimFuncs and `eviction/api`
//! GetThresholdQuantity, whose arithmetic is the same in 1.20 and in 1.27 to 1.37.

use super::{EvictionThreshold, Signal, ThresholdValue};
use crate::units::u64_as_f64;

impl ThresholdValue {
    /// The value in bytes or inodes for a capacity: a percentage is float32, widened and multiplied in float64, then
    /// cut.
    ///
    /// 0 for a percentage of a capacity of 0, as on btrfs, which has no fixed number of inodes: never met.
    pub fn of(self, capacity: u64) -> u64 {
        match self {
            Self::Quantity(quantity) => quantity,
            Self::Fraction(fraction) => truncate(u64_as_f64(capacity) * f64::from(fraction)),
        }
    }

    /// Whether the threshold is met: strictly less is available.
    pub fn is_met(self, capacity: u64, available: u64) -> bool {
        available < self.of(capacity)
    }
}

impl EvictionThreshold {
    /// The level that must be reached again before the kubelet is content: the threshold and its minimum reclaim.
    pub fn recovers_at(&self, capacity: u64) -> u64 {
        let reclaim = self.minimum_reclaim.map_or(0, |value| value.of(capacity));
        self.value.of(capacity).saturating_add(reclaim)
    }
}

/// Whether the pass that meets this signal deletes exited containers and every unused image before it turns to pods.
///
/// On one filesystem all four signals do; with a filesystem of its own for images only the imagefs signals do, and
/// nodefs pressure kills pods at once.
pub const fn deletes_images(signal: Signal, same_filesystem: bool) -> bool {
    same_filesystem || signal.is_imagefs()
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "Go's int64(float64) cuts towards zero; so does `as`, and it saturates where Go's result is undefined"
)]
fn truncate(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn exactly_fifteen_percent_available_is_under_a_threshold_of_fifteen_percent() {
        // float32(0.15) is a little above 0.15.
        let threshold = ThresholdValue::Fraction(0.15);
        assert_eq!(threshold.of(100 * GIB), 16_106_128_000);
        assert!(threshold.is_met(100 * GIB, 15 * GIB));
        assert!(!threshold.is_met(100 * GIB, 15 * GIB + 640));
        assert!(threshold.is_met(100 * GIB, 15 * GIB + 639));
    }

    #[test]
    fn worked_examples_of_a_hundred_gib_with_five_percent_reserved() {
        // available in GiB, imagefs < 15 %, nodefs < 10 %
        let rows = [
            (20, false, false),
            (17, false, false),
            (16, false, false),
            (15, true, false),
            (10, true, true),
            (0, true, true),
        ];
        for (available, imagefs, nodefs) in rows {
            assert_eq!(ThresholdValue::Fraction(0.15).is_met(100 * GIB, available * GIB), imagefs, "{available}");
            assert_eq!(ThresholdValue::Fraction(0.1).is_met(100 * GIB, available * GIB), nodefs, "{available}");
        }
    }

    #[test]
    fn the_prow_node_of_280_gib_evicts_at_42_gib_available() {
        assert!(ThresholdValue::Fraction(0.15).is_met(280 * GIB, 42 * GIB));
        assert!(!ThresholdValue::Fraction(0.15).is_met(280 * GIB, 42 * GIB + (1 << 20)));
    }

    #[test]
    fn a_quantity_is_met_strictly_below_it() {
        assert!(!ThresholdValue::Quantity(GIB).is_met(10 * GIB, GIB));
        assert!(ThresholdValue::Quantity(GIB).is_met(10 * GIB, GIB - 1));
    }

    #[test]
    fn a_percentage_of_no_inodes_at_all_is_never_met() {
        assert!(!ThresholdValue::Fraction(0.05).is_met(0, 0));
    }

    #[test]
    fn the_kubelet_is_content_only_beyond_the_minimum_reclaim() {
        let threshold = EvictionThreshold {
            signal: Signal::ImagefsAvailable,
            value: ThresholdValue::Quantity(10 * GIB),
            origin: crate::model::Origin::Flag,
            minimum_reclaim: Some(ThresholdValue::Fraction(0.5)),
        };
        assert_eq!(threshold.recovers_at(100 * GIB), 60 * GIB);
    }

    #[test]
    fn nodefs_pressure_spares_images_on_a_disk_of_their_own() {
        for signal in Signal::ALL {
            assert!(deletes_images(signal, true), "{signal}");
            assert_eq!(deletes_images(signal, false), signal.is_imagefs(), "{signal}");
        }
    }

    proptest! {
        #[test]
        fn less_available_never_ends_an_eviction(capacity: u64, available: u64, taken: u64, fraction in 0.0_f32..=1.0) {
            let threshold = ThresholdValue::Fraction(fraction);
            prop_assert!(!threshold.is_met(capacity, available) || threshold.is_met(capacity, available.saturating_sub(taken)));
        }

        #[test]
        fn a_fraction_is_within_single_precision_of_the_true_one(capacity in 0_u64..1 << 53, percent in 0_u32..=100) {
            let text = format!("{percent}.0%");
            let Ok(Some(value)) = crate::model::quantity::parse_threshold(&text) else { panic!("{text}") };
            let exact = u128::from(capacity) * u128::from(percent) / 100;
            let error = u128::from(value.of(capacity)).abs_diff(exact);
            prop_assert!(error <= u128::from(capacity) / (1 << 23) + 1, "{} off by {}", text, error);
        }
    }
}
