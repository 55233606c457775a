//! What will the kubelet do? Pure functions that mirror its rules: no I/O, no clock.

pub mod eviction;
mod policy;
pub mod quantity;
mod release;
pub mod schedule;
mod trigger;
pub mod triggers;
pub mod usage;

pub use policy::{EvictionThreshold, GcPolicy, ImageGcPolicy, Origin, Setting, SoftThreshold, ThresholdValue};
pub use release::{Held, Release, Rule};
pub use trigger::{Signal, Trigger};
pub use triggers::TriggerLevel;
