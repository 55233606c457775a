//! Who holds the bytes of a node? Every pod with all that is in it, the machine itself, and what belongs to no layer.
//!
//! Who owns a test's own cluster names the pods in it, and may name them as somebody else's: what is in a pod counts for that
//! pod, whatever it is called further in.

use crate::layer::LayerId;
use crate::sample::{Component, LayerSample, Sample};
use crate::units::Bytes;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Which layer is in which, and so in which pod.
#[derive(Debug)]
pub struct Nesting<'a>(BTreeMap<&'a LayerId, &'a LayerSample>);

/// One that holds bytes, as of the last walk.
#[derive(Debug)]
pub struct Holder<'a> {
    /// The outermost layer in the pod, which tells its job; outside of every pod, the first one.
    pub layer: &'a LayerSample,
    /// Namespace and name of the pod; `None` for what is outside of every pod.
    pub pod: Option<(&'a str, &'a str)>,
    /// How many layers are in it.
    pub layers: usize,
    /// What these hold.
    pub held: BTreeMap<Component, Bytes>,
}

impl<'a> Nesting<'a> {
    /// The layers of a sample. Of two with one name the first counts.
    pub fn of(sample: &'a Sample) -> Self {
        let mut by_id = BTreeMap::new();
        for layer in &sample.layers {
            by_id.entry(&layer.id).or_insert(layer);
        }
        Self(by_id)
    }

    /// Of a layer and those around it the outermost that is in a pod.
    pub fn outermost_in_pod(&self, layer: &'a LayerSample) -> Option<&'a LayerSample> {
        let mut outermost = None;
        let mut next = Some(layer);
        // Names from a recording could name each other.
        for _ in 0..=self.0.len() {
            let Some(layer) = next else { break };
            if layer.origin.pod.is_some() {
                outermost = Some(layer);
            }
            next = self.parent(layer);
        }
        outermost
    }

    /// Whether a layer is in no other than an outermost one.
    pub fn is_direct(&self, layer: &LayerSample) -> bool {
        self.parent(layer).is_some_and(|parent| parent.parent.is_none())
    }

    /// By pod, most bytes first, and what belongs to no layer; `held` are the exclusive bytes of each layer.
    pub fn holders<'h>(
        &self,
        held: impl IntoIterator<Item = (&'h LayerId, &'h BTreeMap<Component, Bytes>)>,
    ) -> (Vec<Holder<'a>>, Bytes) {
        let mut pods: BTreeMap<Option<(&str, &str)>, Holder<'a>> = BTreeMap::new();
        let mut nobodys = Bytes::ZERO;
        for (id, components) in held {
            let Some(layer) = self.0.get(id).copied() else { continue };
            let layer = self.outermost_in_pod(layer).unwrap_or(layer);
            let pod = layer.origin.pod();
            let holder = pods.entry(pod).or_insert_with(|| Holder { layer, pod, layers: 0, held: BTreeMap::new() });
            holder.layers += 1;
            for (component, bytes) in components {
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

    fn parent(&self, layer: &LayerSample) -> Option<&'a LayerSample> {
        self.0.get(layer.parent.as_ref()?).copied()
    }
}

impl Holder<'_> {
    /// All components together.
    pub fn total(&self) -> Bytes {
        self.held.values().fold(Bytes::ZERO, |sum, bytes| sum.saturating_add(*bytes))
    }
}
