//! What is reported of the settings of a kubelet?

use super::join::{Joined, Layer};
use crate::form::Form;
use crate::model::{EvictionThreshold, Origin, Setting, ThresholdValue};
use crate::report::{PolicyReport, SettingReport, ThresholdReport};
use crate::time::Span;
use crate::untrusted::Label;

pub(super) fn report(joined: &Joined<'_>, layer: &Layer<'_>) -> Option<PolicyReport> {
    let policy = layer.assessment?.policy.as_ref()?;
    let gc = &policy.image_gc;
    let threshold = |found, grace_period| threshold(joined, layer, found, grace_period);
    Some(PolicyReport {
        image_gc_enabled: gc.enabled,
        image_gc_high_threshold_percent: setting(&gc.high),
        image_gc_low_threshold_percent: setting(&gc.low),
        image_minimum_gc_age: setting(&gc.minimum_age),
        image_maximum_gc_age: gc.maximum_age.as_ref().map(setting),
        eviction_hard: policy.eviction_hard.iter().map(|found| threshold(found, None)).collect(),
        eviction_soft: policy
            .eviction_soft
            .iter()
            .map(|soft| threshold(&soft.threshold, Some(soft.grace_period)))
            .collect(),
        pressure_transition_period: setting(&policy.pressure_transition_period),
        problems: policy.problems.clone(),
    })
}

fn setting<T: Form + Copy>(setting: &Setting<T>) -> SettingReport<T> {
    SettingReport { value: setting.value, origin: Label::new(setting.origin.as_str()), path: path(&setting.origin) }
}

fn threshold(
    joined: &Joined<'_>,
    layer: &Layer<'_>,
    threshold: &EvictionThreshold,
    grace_period: Option<Span>,
) -> ThresholdReport {
    let (quantity, fraction) = match threshold.value {
        ThresholdValue::Quantity(amount) => (Some(amount), None),
        ThresholdValue::Fraction(part) => (None, Some(part)),
    };
    ThresholdReport {
        signal: threshold.signal.into(),
        quantity,
        fraction,
        amount: quantity.or_else(|| amount(joined, layer, threshold)),
        origin: Label::new(threshold.origin.as_str()),
        path: path(&threshold.origin),
        grace_period,
    }
}

/// The amount below which a threshold is met, where the capacity that a fraction refers to is known.
fn amount(joined: &Joined<'_>, layer: &Layer<'_>, threshold: &EvictionThreshold) -> Option<u64> {
    let signal = threshold.signal;
    let id = if signal.is_imagefs() { &layer.sample.imagefs } else { &layer.sample.nodefs };
    let space = joined.disk(id)?.sample.space.value()?;
    let whole = if signal.counts_inodes() { space.files.get() } else { space.capacity.get() };
    Some(threshold.value.of(whole))
}

fn path(origin: &Origin) -> Option<Label> {
    match origin {
        Origin::File(path) | Origin::DropIn(path) => Some(path.clone()),
        Origin::Assumed | Origin::Default | Origin::Flag => None,
    }
}
