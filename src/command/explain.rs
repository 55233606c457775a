//! `highwater explain`: which images each trigger would delete, which stay, and why; from the running agent, a recording, or one
//! look at this machine.

use super::observe::{self, Waits};
use super::remote::{RemoteError, Timeouts, get, local};
use super::run::terminal_width;
use super::{Failure, origin, print, recording, waiting};
use crate::agent::clock;
use crate::cli::{ExplainArgs, Output};
use crate::config::{Agent, Settings};
use crate::export::{explain, json};
use crate::report::explanation::SCHEMA_VERSION;
use crate::report::{Explanation, Question};
use crate::snapshot::{AgentHealth, Snapshot};
use crate::time::{Span, Timestamp};
use std::path::Path;
use std::time::Duration;

/// A runtime that lists thousands of images takes a second or two; one that is stuck is not waited for.
const RUNTIMES_WITHIN: Duration = Duration::from_secs(15);

/// Prints the answer.
///
/// # Errors
/// Unusable settings, a layer that is not there, an agent that was named and does not answer, a machine whose processes cannot
/// be listed, or a recording that cannot be read.
pub fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let (explanation, origin) = known(args)?;
    let text = match args.output {
        Output::Table => format!("{}\n{origin}\n", explain::render(&explanation, terminal_width())),
        Output::Json => json::line(&explanation),
    };
    print(&text)
}

/// The answer, and a sentence that says from where.
fn known(args: &ExplainArgs) -> Result<(Explanation, String), Failure> {
    let question = Question { layer: args.layer.as_deref(), written: args.if_write };
    if let Some(path) = &args.recording {
        let (snapshot, now) = recorded(path, args)?;
        let explanation = Explanation::new(&snapshot, now, question).map_err(Failure::Layer)?;
        let origin = format!("From the recording {}, as of {now}.", path.display());
        return Ok((explanation, origin));
    }
    let settings = Settings::load(args.overrides())?;
    let agent = match args.origin.agent.named() {
        None if args.origin.seeks_local() => waiting(local(&settings))?.map(|(agent, _)| agent),
        named => named,
    };
    if let Some(agent) = agent {
        let explanation = waiting(ask(&agent, question))?.map_err(Failure::Agent)?;
        let origin = origin::of_agent(&agent.address, explanation.age, explanation.stale);
        return Ok((explanation, origin));
    }
    let window = args.origin.window.unwrap_or(observe::WINDOW);
    let mut watch = observe::watch(&settings)?;
    let waits = Waits { runtimes: RUNTIMES_WITHIN, window, usage: Span::ZERO };
    let snapshot = observe::observe(&mut watch, &waits, &settings)?;
    let explanation = Explanation::new(&snapshot, clock::now(), question).map_err(Failure::Layer)?;
    Ok((explanation, origin::of_look(window)))
}

async fn ask(agent: &Agent, question: Question<'_>) -> Result<Explanation, RemoteError> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(layer) = question.layer {
        query.append_pair("layer", layer);
    }
    if let Some(written) = question.written {
        query.append_pair("if_write", &written.get().to_string());
    }
    let path = format!("/api/v1/explain?{}", query.finish());
    get(agent, &path, SCHEMA_VERSION, Timeouts::PATIENT).await
}

/// What was known of another machine, or at another time, and the time for which it is answered.
fn recorded(path: &Path, args: &ExplainArgs) -> Result<(Snapshot, Timestamp), Failure> {
    let known = recording::sample_at(path, args.at)?;
    recording::warn(path, &known.report);
    let agent = AgentHealth::none(observe::INTERVAL);
    let now = args.at.unwrap_or(known.sample.at);
    Ok((Snapshot { sample: known.sample, assessment: known.assessment, agent }, now))
}
