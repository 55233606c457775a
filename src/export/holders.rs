//! Who holds the bytes of a node? Every test pod with all its layers together, the machine itself, and what belongs to no layer.

use super::view::{LayerView, View};
use crate::sample::Component;
use crate::units::Bytes;
use crate::untrusted::Label;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// One that holds bytes, as of the last walk.
#[derive(Debug, Default)]
pub(super) struct Holder<'a> {
    /// Pod by namespace and name; `None` for what is outside of every pod.
    pub(super) pod: Option<(&'a str, &'a str)>,
    pub(super) job: Option<&'a str>,
    pub(super) build: Option<&'a str>,
    pub(super) layers: usize,
    pub(super) held: BTreeMap<Component, Bytes>,
}

/// By pod, most bytes first, and what belongs to no layer. Empty where no walk has counted yet.
pub(super) fn holders<'v>(view: &'v View<'_>) -> (Vec<Holder<'v>>, Bytes) {
    let mut pods: BTreeMap<Option<(&str, &str)>, Holder<'_>> = BTreeMap::new();
    let mut nobodys = Bytes::ZERO;
    for layer in &view.layers {
        let Some(held) = &layer.held else { continue };
        let pod = pod(layer);
        let holder = pods.entry(pod).or_default();
        holder.pod = pod;
        holder.layers += 1;
        let origin = &layer.sample.origin;
        holder.job = holder.job.or(origin.prow_job.as_ref().map(Label::as_str));
        holder.build = holder.build.or(origin.prow_build_id.as_ref().map(Label::as_str));
        for (component, bytes) in held {
            let sum = if *component == Component::Other {
                &mut nobodys
            } else {
                holder.held.entry(*component).or_insert(Bytes::ZERO)
            };
            *sum = sum.saturating_add(*bytes);
        }
    }
    let mut holders: Vec<Holder<'_>> = pods.into_values().collect();
    holders.sort_by_key(|holder| Reverse(holder.total()));
    (holders, nobodys)
}

fn pod<'v>(layer: &'v LayerView<'_>) -> Option<(&'v str, &'v str)> {
    let origin = &layer.sample.origin;
    Some((origin.pod_namespace.as_ref().map_or("", Label::as_str), origin.pod.as_ref()?.as_str()))
}

impl Holder<'_> {
    /// All components together.
    pub(super) fn total(&self) -> Bytes {
        self.held.values().fold(Bytes::ZERO, |sum, bytes| sum.saturating_add(*bytes))
    }
}
