//! What could not be read or understood on a node?

use super::join::Joined;
use super::layer::sources;
use crate::report::{Problem, Text};
use crate::sample::AbsenceReason;
use crate::snapshot::AgentHealth;
use crate::untrusted::Label;

/// Everything, filesystems first.
pub(super) fn problems(joined: &Joined<'_>, agent: &AgentHealth) -> Vec<Problem> {
    let mut problems = Vec::new();
    for disk in &joined.disks {
        let (subject, sample) = (&disk.mountpoint, disk.sample);
        problems.extend(sample.space.absence().map(|absence| Problem::absent(subject, "statfs", absence)));
        if sample.stuck {
            problems.push(Problem::new(subject, "statfs", Label::new("has not come back")));
        }
        let usage = sample.usage.absence().filter(|absence| absence.reason != AbsenceReason::NotRead);
        problems.extend(usage.map(|absence| Problem::absent(subject, "usage", absence)));
    }
    for layer in &joined.layers {
        for (source, state) in sources(layer) {
            problems.extend(state.absence().map(|absence| Problem::absent(&layer.name, source.as_str(), absence)));
        }
        let policy = layer.assessment.and_then(|assessment| assessment.policy.as_ref());
        let texts = policy.into_iter().flat_map(|policy| &policy.problems);
        problems.extend(texts.map(|text| Problem::new(&layer.name, "policy", text.clone())));
    }
    for run in agent.collectors.iter().filter(|run| !run.success) {
        let detail = Label::from(format!("{} failed in the last round", run.collector));
        problems.push(Problem::new(&Text::from("highwater"), "step", detail));
    }
    problems
}
