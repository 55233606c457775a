//! What does a node look like whose images are about to be deleted? A made-up one, for people without such a node at hand and
//! for tests: samples at virtual times, the same for the same seed.
//!
//! It stands in for `discover` and `source`; everything after them is the real thing. Nothing here forecasts.
//!
//! The story follows cluster-api issue 11856: a Prow job runs Docker-in-Docker, and in it a kind cluster and two CAPD nodes, one
//! of a release that leaves image GC on. All of it is on one disk, the disk fills, and that one kubelet deletes images.

mod disk;
mod images;
mod job;
mod layers;
mod random;
mod scenario;

pub use scenario::Scenario;
