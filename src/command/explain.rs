//! `highwater explain`: look once, and say which images each trigger would delete, which stay, and why.

use super::run::terminal_width;
use super::{Failure, recording};
use crate::access::socket::ReplyLimits;
use crate::agent::runtimes::ask_all;
use crate::agent::{Watch, clock};
use crate::cli::{ExplainArgs, Output};
use crate::config::Settings;
use crate::export::explain::{Question, json, table};
use crate::snapshot::{AgentHealth, Snapshot};
use crate::time::{Span, Timestamp};
use std::io::{Write, stdout};
use std::path::Path;
use std::time::Duration;

/// Distance between two samples of the disks while a rate is sought.
const INTERVAL: Span = Span::from_millis(500);
/// A runtime that lists thousands of images takes a second or two; one that is stuck is not waited for.
const RUNTIMES_WITHIN: Duration = Duration::from_secs(15);

/// Looks once and prints the answer.
///
/// # Errors
/// Unusable settings, a layer that is not there, a machine whose processes cannot be listed, or a recording that cannot be read.
pub fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let (snapshot, now) = match &args.recording {
        Some(path) => recorded(path, args)?,
        None => (look(args)?, clock::now()),
    };
    let question = Question { layer: args.layer.as_deref(), written: args.if_write };
    let text = match args.output {
        Output::Table => table::render(&snapshot, now, question, terminal_width()),
        Output::Json => json::render(&snapshot, now, question),
    };
    let text = text.map_err(Failure::Layer)?;
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::io("print", error))
}

/// This machine as it is.
fn look(args: &ExplainArgs) -> Result<Snapshot, Failure> {
    let settings = Settings::load(args.overrides())?;
    let mut watch = Watch::new(&settings, INTERVAL)?;
    watch.round();
    let begin = clock::monotonic();
    ask(&watch)?;
    let mut snapshot = watch.round();
    while begin.elapsed() < args.window.to_std() {
        std::thread::sleep(INTERVAL.to_std());
        snapshot = watch.round();
    }
    Ok(snapshot)
}

/// What was known of another machine, or at another time, and the time for which it is answered.
fn recorded(path: &Path, args: &ExplainArgs) -> Result<(Snapshot, Timestamp), Failure> {
    let known = recording::sample_at(path, args.at)?;
    recording::warn(path, &known.report);
    let agent = AgentHealth { collectors: Vec::new(), sample_interval: INTERVAL, process: None };
    let now = args.at.unwrap_or(known.sample.at);
    Ok((Snapshot { sample: known.sample, assessment: known.assessment, agent }, now))
}

fn ask(watch: &Watch) -> Result<(), Failure> {
    let runtimes = watch.runtimes();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("ask the runtimes", error))?;
    // What did not answer in time is absent in the sample, and said to be.
    runtime.block_on(async {
        tokio::time::timeout(RUNTIMES_WITHIN, ask_all(&runtimes, &ReplyLimits::default())).await.is_ok()
    });
    Ok(())
}
