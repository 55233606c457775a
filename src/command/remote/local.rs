//! Does an agent of this very machine run? Whoever listens at the usual place is asked, and has to name this machine's boot.

use super::address::AgentAddress;
use super::client::{Patience, get};
use crate::agent::boot_id;
use crate::config::{ListenAddress, Settings};
use crate::export::json::{Document, SCHEMA_VERSION};
use crate::untrusted::Label;

/// The agent of this machine, with what it says; `None` where none answers at the usual port of the loopback interface, or
/// the one that does watches another machine, plays a demonstration or has stopped sampling.
pub(in crate::command) async fn local(settings: &Settings) -> Option<(AgentAddress, Document)> {
    let ours = boot_id(&settings.procfs)?;
    let authority = format!("127.0.0.1:{}", ListenAddress::DEFAULT_PORT);
    let address = AgentAddress::Http { authority, prefix: String::new() };
    let document: Document = get(&address, "/api/v1/snapshot", SCHEMA_VERSION, Patience::BRIEF).await.ok()?;
    is_usable(&document, &ours).then_some((address, document))
}

fn is_usable(document: &Document, ours: &Label) -> bool {
    document.agent.boot_id.as_deref() == Some(ours.as_str()) && !document.stale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::json::describe;
    use crate::snapshot::{AgentHealth, Snapshot};
    use crate::time::{Span, Timestamp};

    #[test]
    fn only_a_living_agent_of_this_boot_is_asked() {
        let at = Timestamp::from_micros(1_795_500_000_000_000);
        let says = |boot_id: Option<&str>, age: i64| {
            let agent = AgentHealth {
                collectors: Vec::new(),
                sample_interval: Span::from_secs(5),
                boot_id: boot_id.map(Label::new),
                process: None,
            };
            let sample = crate::sample::Sample { at, filesystems: Vec::new(), layers: Vec::new() };
            let (assessment, _) = crate::assess::assess(&sample, crate::assess::State::default());
            is_usable(
                &describe(&Snapshot { sample, assessment, agent }, at + Span::from_secs(age)),
                &Label::new("ours"),
            )
        };
        assert!(says(Some("ours"), 5));
        assert!(!says(Some("ours"), 3_600), "it has stopped sampling");
        assert!(!says(Some("another's"), 5));
        assert!(!says(None, 5), "a demonstration");
    }
}
