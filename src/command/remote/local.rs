//! Does an agent of this very machine run? Whoever listens at the usual places is asked, and has to name this machine's boot.

use super::client::{Timeouts, get};
use super::error::RemoteError;
use crate::agent::boot_id;
use crate::config::{Agent, AgentAddress, ListenAddress, Settings};
use crate::error_chain::error_chain;
use crate::report::{Report, SCHEMA_VERSION};
use crate::untrusted::Label;
use hyper::StatusCode;
use std::io::{ErrorKind, Write, stderr};

/// The agent of this machine, with what it says; `None` where none answers at the usual port of the loopback interface, or
/// the one that does watches another machine, plays a demonstration or has stopped sampling.
///
/// It is asked without TLS and password: anybody may listen there first, and would be sent them. That one is there and wants them
/// is said on standard error.
pub(in crate::command) async fn local(settings: &Settings) -> Option<(Agent, Report)> {
    let ours = boot_id(&settings.procfs)?;
    match first(usual_places()).await? {
        Ok((agent, report)) => is_usable(&report, &ours).then_some((agent, report)),
        Err(error) => {
            if let Some(line) = worth_saying(&error) {
                // Nothing is left to be done when standard error is closed.
                writeln!(stderr(), "highwater: {line}").ok();
            }
            None
        }
    }
}

/// Both loopback addresses at the usual port.
fn usual_places() -> impl Iterator<Item = Agent> {
    ["127.0.0.1", "[::1]"].into_iter().map(|host| {
        let authority = format!("{host}:{}", ListenAddress::DEFAULT_PORT);
        Agent { address: AgentAddress::Web { tls: None, authority, prefix: String::new() }, config: None }
    })
}

/// What is said at the first of these places at which anybody listens, or why nothing is. Only where the one before refuses the
/// connection is the next asked: then whoever listens there first could have listened at the one before as well. `None`: there
/// are no places.
async fn first(places: impl Iterator<Item = Agent>) -> Option<Result<(Agent, Report), RemoteError>> {
    let mut last = None;
    for agent in places {
        let answer = get(&agent, "/api/v1/snapshot", SCHEMA_VERSION, Timeouts::BRIEF).await;
        let refused = matches!(&answer, Err(RemoteError::Connect { source, .. }) if source.kind() == ErrorKind::ConnectionRefused);
        last = Some(answer.map(|report| (agent, report)));
        if !refused {
            break;
        }
    }
    last
}

/// What to say when the agent may be asked with TLS or a password; that none is there is nothing to be said.
fn worth_saying(error: &RemoteError) -> Option<String> {
    let may =
        matches!(error, RemoteError::Broken { .. } | RemoteError::Refused { status: StatusCode::UNAUTHORIZED, .. });
    may.then(|| {
        format!(
            "{}; looking at this machine instead: --agent URL asks it, --agent none asks nobody",
            error_chain(error)
        )
    })
}

fn is_usable(report: &Report, ours: &Label) -> bool {
    report.agent.health.boot_id.as_ref() == Some(ours) && !report.stale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{AgentHealth, Snapshot};
    use crate::time::{Span, Timestamp};
    use std::io::Read;
    use std::net::{SocketAddr, TcpListener};

    #[test]
    fn that_an_agent_wants_a_password_is_said_and_that_none_is_there_is_not() {
        let address = || "http://127.0.0.1:9469".to_owned();
        let (status, message, remedy) = (StatusCode::UNAUTHORIZED, "who?".to_owned(), "tell it");
        let line = worth_saying(&RemoteError::Refused { address: address(), status, message, remedy });
        assert_eq!(
            line.as_deref(),
            Some(
                "the agent at http://127.0.0.1:9469 answers 401 Unauthorized: who?; tell it; looking at this machine instead: \
                 --agent URL asks it, --agent none asks nobody"
            )
        );
        let source = std::io::ErrorKind::ConnectionRefused.into();
        assert_eq!(worth_saying(&RemoteError::Connect { address: address(), source }), None);
    }

    #[test]
    fn the_next_place_is_asked_only_where_nobody_listens_at_the_one_before() {
        let usual: Vec<String> = usual_places().map(|agent| agent.address.to_string()).collect();
        assert_eq!(usual, ["http://127.0.0.1:9469", "http://[::1]:9469"]);

        let place = |at: SocketAddr| Agent { address: format!("http://{at}").parse().unwrap(), config: None };
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listening = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let at = listener.local_addr().unwrap();
            std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _request = stream.read(&mut [0; 1_024]).unwrap();
                stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").unwrap();
                stream.read_to_end(&mut Vec::new()).unwrap();
            });
            at
        };
        let answer = |places: Vec<SocketAddr>| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let Some(Err(error)) = runtime.block_on(first(places.into_iter().map(place))) else { panic!("no error") };
            error.to_string()
        };
        let at = listening();
        let said = answer(vec![free(), at]);
        assert!(said.starts_with(&format!("the agent at http://{at} answers 401 ")), "{said}");
        let (at, other) = (listening(), TcpListener::bind("127.0.0.1:0").unwrap());
        let said = answer(vec![at, other.local_addr().unwrap()]);
        assert!(said.starts_with(&format!("the agent at http://{at} answers 401 ")), "{said}");
        other.set_nonblocking(true).unwrap();
        assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "somebody else is asked as well");
        let (one, another) = (free(), free());
        assert_eq!(answer(vec![one, another]), format!("cannot reach the agent at http://{another}"));
    }

    #[test]
    fn only_a_living_agent_of_this_boot_is_asked() {
        let at = Timestamp::from_micros(1_795_500_000_000_000);
        let says = |boot_id: Option<&str>, age: i64| {
            let agent = AgentHealth { boot_id: boot_id.map(Label::new), ..AgentHealth::none(Span::from_secs(5)) };
            let sample = crate::sample::Sample { at, filesystems: Vec::new(), layers: Vec::new() };
            let (assessment, _) = crate::assess::assess(&sample, crate::assess::State::default());
            let report = Report::new(&Snapshot { sample, assessment, agent }, at + Span::from_secs(age));
            is_usable(&report, &Label::new("ours"))
        };
        assert!(says(Some("ours"), 5));
        assert!(!says(Some("ours"), 3_600), "it has stopped sampling");
        assert!(!says(Some("another's"), 5));
        assert!(!says(None, 5), "a demonstration");
    }
}
