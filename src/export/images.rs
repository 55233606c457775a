//! Which series do the images of a layer give? Counts by state, what each trigger would delete, what was seen to be deleted, and
//! by name the images that are most at risk.

use super::catalogue::Name;
use super::series::{LabelValue, Series, Value, named, series, word};
use crate::assess::Observed;
use crate::model::Trigger;
use crate::report::{ImagesReport, LayerReport, VictimsReport, Word};
use crate::untrusted::Label;

/// Everything but the names. The victims of inode eviction are those of image eviction and have no series of their own.
pub(super) fn of(layer: &LayerReport, all: &mut Vec<Series>) {
    let name = || LabelValue::from(&layer.layer.shared());
    let Some(images) = &layer.images else { return };
    for (state, of_state) in &images.by_state {
        all.push(series(Name::Images, [name(), word(state)], count(of_state.count)));
        all.push(series(Name::ImageBytes, [name(), word(state)], Value::Count(of_state.bytes.get())));
    }
    for found in images.victims.iter().filter(|found| !found.trigger.is(Trigger::InodeEviction)) {
        victims(layer, found, all);
    }
    if layer.kubelet.is_none() {
        return;
    }
    let unknown = Word::Other(Label::new(ImagesReport::UNKNOWN));
    for trigger in [Trigger::ImageGc.into(), Trigger::ImageEviction.into(), unknown] {
        let seen = images.deleted_observed.get(&trigger).copied();
        // Of what cannot be told there is a series once there was any.
        let Some(seen) = seen.or_else(|| trigger.known().map(|_| Observed::default())) else { continue };
        let labels = || [name(), word(&trigger)];
        all.push(series(Name::ObservedRuns, labels(), Value::Count(seen.runs)));
        all.push(series(Name::ObservedDeletions, labels(), Value::Count(seen.images)));
        all.push(series(Name::ObservedBytes, labels(), Value::Count(seen.bytes.get())));
    }
}

fn victims(layer: &LayerReport, found: &VictimsReport, all: &mut Vec<Series>) {
    let certain = found.freed_at_least_bytes;
    let possible = found.freed_at_most_bytes.zip(certain).map(|(most, least)| most.saturating_sub(least));
    for (certainty, total, freed) in [("certain", found.certain, certain), ("possible", found.possible, possible)] {
        let labels = || [LabelValue::from(&layer.layer.shared()), word(&found.trigger), certainty.into()];
        all.push(series(Name::Victims, labels(), count(total.count)));
        all.push(series(Name::VictimBytes, labels(), Value::Count(total.bytes.get())));
        all.extend(freed.map(|freed| series(Name::ReclaimableBytes, labels(), Value::Count(freed.get()))));
    }
}

/// The images that the first trigger would delete, the worst losses first. At most `room`.
pub(super) fn at_risk(layer: &LayerReport, room: usize) -> Vec<Series> {
    let images = layer.images.iter().flat_map(|images| &images.at_risk).take(room);
    let named = images.map(|image| {
        let labels = [
            LabelValue::from(&layer.layer.shared()),
            named(image.name.as_str()),
            named(image.outcome.as_str()),
            word(&image.recoverable),
        ];
        series(Name::ImageAtRisk, labels, Value::Count(1))
    });
    named.collect()
}

fn count(number: usize) -> Value {
    Value::Count(u64::try_from(number).unwrap_or(u64::MAX))
}
