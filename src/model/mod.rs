//! What will the kubelet do? Pure functions that mirror its rules: no I/O, no clock.

pub mod candidates;
pub mod eviction;
pub mod inventory;
mod policy;
pub mod quantity;
pub mod recovery;
mod release;
pub mod schedule;
mod trigger;
pub mod triggers;
pub mod usage;
pub mod victims;

pub use policy::{EvictionThreshold, GcPolicy, ImageGcPolicy, Origin, Setting, SoftThreshold, ThresholdValue};
pub use release::{Held, Release, Rule};
pub use trigger::{Signal, Trigger};
pub use triggers::TriggerLevel;
