//! How does a report come from a sample and what it means? Everything is concluded here, once for all surfaces; pure.

pub(super) mod explanation;
mod filesystem;
mod images;
mod join;
mod layer;
mod policy;
mod problems;
mod remedies;
mod verdict;

use super::{AgentReport, HolderReport, Report, SCHEMA_VERSION, ScoreReport, VerdictReport};
use crate::assess::holders::{Holder, Nesting};
use crate::snapshot::Snapshot;
use crate::time::Timestamp;
use crate::untrusted::Label;
use join::Joined;

impl Report {
    /// What is known at `now` from a snapshot.
    pub fn new(snapshot: &Snapshot, now: Timestamp) -> Self {
        let joined = Joined::new(snapshot);
        let (holders, unowned_bytes) = Nesting::of(&snapshot.sample).holders(joined.exclusive());
        let scores = snapshot.assessment.scores.iter();
        let mut report = Self {
            schema_version: SCHEMA_VERSION,
            node: snapshot.agent.node.clone(),
            sampled_at: snapshot.sample.at,
            age: now.since(snapshot.sample.at),
            stale: snapshot.is_stale(now),
            verdict: VerdictReport::default(),
            filesystems: joined.disks.iter().map(|disk| filesystem::report(&joined, disk)).collect(),
            layers: joined.layers.iter().map(|layer| layer::report(&joined, layer)).collect(),
            holders: holders.iter().map(holder).collect(),
            unowned_bytes,
            problems: problems::problems(&joined, &snapshot.agent),
            forecast_scores: scores.map(|(trigger, tally)| ScoreReport::new(*trigger, tally)).collect(),
            agent: AgentReport { version: Label::new(env!("CARGO_PKG_VERSION")), health: snapshot.agent.clone() },
        };
        report.verdict = report.judge(snapshot.agent.windows);
        report
    }
}

fn holder(holder: &Holder<'_>) -> HolderReport {
    let origin = &holder.layer.origin;
    let of_pod = |label: &Option<Label>| label.clone().filter(|_| holder.pod.is_some());
    HolderReport {
        pod_namespace: holder.pod.map(|(namespace, _)| Label::new(namespace)),
        pod: holder.pod.map(|(_, pod)| Label::new(pod)),
        prow_job: of_pod(&origin.prow_job),
        prow_build_id: of_pod(&origin.prow_build_id),
        layers: holder.layers,
        bytes: holder.total(),
        components: holder.held.iter().map(|(part, bytes)| ((*part).into(), *bytes)).collect(),
    }
}
