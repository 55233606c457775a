//! What will the kubelet do? Pure functions that mirror its rules: no I/O, no clock.

pub mod candidates;
pub mod deletions;
pub mod eviction;
pub mod freed;
pub mod image_eviction;
pub mod image_gc;
pub mod in_use;
pub mod inventory;
pub mod pins;
mod policy;
pub mod prediction;
pub mod quantity;
pub mod recovery;
mod release;
pub mod schedule;
#[cfg(test)]
mod simulated;
mod trigger;
pub mod triggers;
pub mod usage;
pub mod victims;

pub use inventory::Inventory;
pub use policy::{EvictionThreshold, GcPolicy, ImageGcPolicy, Origin, Setting, SoftThreshold};
pub use quantity::ThresholdValue;
pub use release::{Release, Rule, TriState};
pub use trigger::{Signal, Trigger};
pub use triggers::TriggerLevel;
