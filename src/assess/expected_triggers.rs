//! What triggers first on a disk that several layers share, and which deletion preempts which? One disk has one level: the kubelet
//! that acts first deletes images of its own layer, and the others may then find more available than their thresholds.

use super::assessment::{ExpectedTrigger, LayerAssessment, PreemptedBy, TriggerAssessment};
use crate::layer::LayerId;
use crate::model::Trigger;
use crate::model::prediction::Prediction;
use crate::sample::FilesystemId;
use crate::time::Span;
use crate::units::{ByteRate, Bytes};

/// Smaller is more urgent: when the kubelet acts, and where that is not expected how near the threshold is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency(i64, i64);

impl Urgency {
    /// Of what never comes.
    pub const NONE: Self = Self(i64::MAX, i64::MAX);

    /// By the median of when the kubelet acts, then by the headroom. Inodes and bytes are not comparable, so inodes count as if
    /// each were an average file of 16 KiB.
    pub fn new(acts_in: Option<Span>, headroom: Option<i64>, counts_inodes: bool) -> Self {
        let scale = if counts_inodes { 16 << 10 } else { 1 };
        Self(acts_in.map_or(i64::MAX, Span::micros), headroom.unwrap_or(i64::MAX).saturating_mul(scale))
    }
}

impl TriggerAssessment {
    fn urgency(&self) -> Urgency {
        let acts_in = self.action.and_then(|action| action.p50);
        Urgency::new(acts_in, self.headroom, self.trigger == Trigger::InodeEviction)
    }
}

/// More than any node has; whoever may run a kubelet can make layers of any number.
const MOST: usize = 100;

/// The triggers of one disk, the most urgent first; `fill_rate` is that of the disk.
///
/// Of a layer without a kubelet only the full disk is among them, which comes once. Inodes are not bytes: what frees the ones
/// is not said to preempt the others.
pub(super) fn expected_triggers(
    disk: FilesystemId,
    layers: &[LayerAssessment],
    has_kubelet: impl Fn(usize) -> bool,
    fill_rate: Option<ByteRate>,
) -> Vec<ExpectedTrigger> {
    let mut found: Vec<Contestant<'_>> = Vec::new();
    let mut full = false;
    for (position, layer) in layers.iter().enumerate() {
        for trigger in layer.triggers.iter().filter(|trigger| trigger.filesystem == disk) {
            let is_full = trigger.trigger == Trigger::DiskFull;
            let counts = if is_full { !full } else { has_kubelet(position) };
            if !counts {
                continue;
            }
            full |= is_full;
            let predictions = layer.images.iter().flat_map(|images| &images.predictions);
            let prediction = predictions
                .into_iter()
                .find(|found| found.level.trigger == trigger.trigger && found.level.filesystem == disk);
            found.push(Contestant { layer: &layer.id, trigger, prediction });
        }
    }
    found.sort_by_key(|candidate| (candidate.trigger.urgency(), candidate.trigger.trigger));
    found.truncate(MOST);
    let mut expected_triggers: Vec<ExpectedTrigger> = Vec::with_capacity(found.len());
    for (index, candidate) in found.iter().enumerate() {
        let before = found.iter().take(index).zip(&expected_triggers);
        // One that is certainly preempted itself frees nothing.
        let earlier = before.filter(|(_, found)| found.preempted_by.as_ref().is_none_or(|by| !by.is_certain));
        let preempting = earlier.filter_map(|(earlier, _)| preempted(candidate, earlier, fill_rate));
        let preempted_by = preempting.min_by_key(|by| !by.is_certain);
        expected_triggers.push(ExpectedTrigger {
            layer: candidate.layer.clone(),
            trigger: candidate.trigger.trigger,
            threshold: candidate.trigger.threshold,
            acts_in: candidate.acts_in(),
            within_an_hour: candidate.trigger.forecast.map(|forecast| {
                let [_, _, hour, _] = forecast.probability;
                hour
            }),
            preempted_by,
        });
    }
    expected_triggers
}

/// A trigger of a layer with what it would delete.
struct Contestant<'a> {
    layer: &'a LayerId,
    trigger: &'a TriggerAssessment,
    prediction: Option<&'a Prediction>,
}

impl Contestant<'_> {
    fn acts_in(&self) -> Option<Span> {
        self.trigger.action.and_then(|action| action.p50)
    }

    /// When it acts, by quantile.
    fn quantiles(&self) -> [Option<Span>; 3] {
        self.trigger.action.map_or([None; 3], |action| [action.p10, action.p50, action.p90])
    }
}

/// Whether what `earlier` frees keeps the disk above the threshold of `later` until that would act.
fn preempted(later: &Contestant<'_>, earlier: &Contestant<'_>, fill_rate: Option<ByteRate>) -> Option<PreemptedBy> {
    let counts_inodes = |candidate: &Contestant<'_>| candidate.trigger.trigger == Trigger::InodeEviction;
    if counts_inodes(later) || counts_inodes(earlier) {
        return None;
    }
    let prediction = earlier.prediction?;
    let (freed, after) = (prediction.freed?, prediction.available_after?);
    // A kubelet that finds nothing to delete preempts nothing, however far above this threshold its own is.
    if freed.most == Bytes::ZERO {
        return None;
    }
    let (first, then) = (earlier.acts_in()?, later.acts_in()?);
    let rate = fill_rate.map_or(0.0, ByteRate::get).max(0.0);
    let written = Bytes::from_f64_saturating((then.as_secs_f64() - first.as_secs_f64()) * rate);
    let threshold = Bytes::new(later.trigger.threshold);
    let keeps_above = |available: Bytes| available.saturating_sub(written) >= threshold;
    if !keeps_above(after.most) {
        return None;
    }
    // One eviction manager sync deletes images first, measures anew, and only then turns to pods.
    let same_sync = later.layer == earlier.layer && later.trigger.trigger == Trigger::PodEviction;
    let in_order = later.quantiles().into_iter().zip(earlier.quantiles()).all(|pair| match pair {
        (Some(later), Some(earlier)) => earlier < later || (same_sync && earlier == later),
        (None, _) => true,
        (Some(_), None) => false,
    });
    let is_certain = fill_rate.is_some() && in_order && freed.least > Bytes::ZERO && keeps_above(after.least);
    Some(PreemptedBy { layer: earlier.layer.clone(), trigger: earlier.trigger.trigger, is_certain })
}
