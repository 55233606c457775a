//! What will the kubelet do? Pure functions that mirror its rules: no I/O, no clock.

mod policy;
mod trigger;

pub use policy::{EvictionThreshold, GcPolicy, ImageGcPolicy, Origin, Setting, SoftThreshold, ThresholdValue};
pub use trigger::{Signal, Trigger};
