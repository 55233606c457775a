//! `highwater check`: what the running agent knows, or what a look of a few seconds shows; and by the exit code how bad it is.

use super::observe::{self, Waits};
use super::remote::{Timeouts, get, local};
use super::run::terminal_width;
use super::screen::Screen;
use super::{Failure, colour, origin, print, report, waiting};
use crate::access::socket::ReplyLimits;
use crate::agent::runtimes::ask_all;
use crate::agent::{Watch, clock};
use crate::cli::{CheckArgs, Output};
use crate::config::{Agent, Settings};
use crate::export::{json, table};
use crate::report::{Report, SCHEMA_VERSION};
use crate::time::Span;
use crate::verdict::{Verdict, Windows};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// How long to wait for the walk where nothing else is said.
const USAGE_TIMEOUT: Span = Span::from_secs(10);

/// A runtime that is stuck is not waited for: the table lacks the names that it knows.
const RUNTIMES_WITHIN: Duration = Duration::from_millis(700);

/// How often runtimes are asked while it is looked again and again.
const RUNTIMES_EVERY: Duration = Duration::from_secs(30);

/// Prints what the agent knows, or looks; with `--watch` again and again. The last verdict is for the exit code.
///
/// # Errors
/// Unusable settings, an agent that was named and does not answer, or a machine whose processes cannot be listed.
pub fn check(args: &CheckArgs) -> Result<Verdict, Failure> {
    let settings = Settings::load(args.overrides())?;
    let windows = Windows { critical: settings.critical, warning: settings.warning };
    let (mut origin, mut known) = Origin::find(args, &settings)?;
    let Some(period) = args.watch else {
        let (text, verdict) = text(&mut known, &origin, args.output, windows);
        return print(&text).map(|()| verdict);
    };
    waiting(async {
        // From here on an interrupt is noticed, so that the terminal is left as it was found.
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Failure::io("wait for signals", error))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| Failure::io("wait for signals", error))?;
        let mut screen = Screen::take().map_err(|error| Failure::io("print", error))?;
        let title = format!("Every {:?}: highwater check", period.to_std());
        let mut problem: Option<String> = None;
        loop {
            let (mut text, verdict) = text(&mut known, &origin, args.output, windows);
            if let Some(problem) = &problem {
                text.extend(["highwater: ", problem.as_str(), "\n"]);
            }
            screen.show(&title, &text).map_err(|error| Failure::io("print", error))?;
            let again = async {
                tokio::time::sleep(period.to_std()).await;
                origin.again().await
            };
            tokio::select! {
                _ = interrupt.recv() => return Ok(verdict),
                _ = terminate.recv() => return Ok(verdict),
                // An agent that is away for a while may come back.
                newer = again => match newer {
                    Ok(newer) => (known, problem) = (newer, None),
                    Err(failure) => problem = Some(report(&failure)),
                },
            }
        }
    })?
}

fn text(known: &mut Report, origin: &Origin, output: Output, windows: Windows) -> (String, Verdict) {
    // By the windows of who asks, which may be others than the agent's.
    known.verdict = known.judge(windows);
    let verdict = known.verdict.status.known().unwrap_or(Verdict::Unknown);
    let text = match output {
        Output::Json => json::line(known),
        Output::Table => {
            let coloured = colour::wanted();
            let table = colour::headings(&table::render(known, terminal_width()), coloured);
            format!("{table}\n{}\n{}\n", origin.sentence(known), colour::verdict(verdict, coloured))
        }
    };
    (text, verdict)
}

/// Where the answer comes from.
enum Origin {
    Agent(Agent),
    Look(Box<Look>),
}

/// This machine, looked at.
struct Look {
    watch: Watch,
    window: Span,
    asked: Instant,
}

impl Origin {
    /// The agent that was named or that runs here, else a look at the machine; with the first answer.
    fn find(args: &CheckArgs, settings: &Settings) -> Result<(Self, Report), Failure> {
        if let Some(agent) = args.origin.agent.named() {
            let known = waiting(ask(&agent))??;
            return Ok((Self::Agent(agent), known));
        }
        if args.seeks_local()
            && let Some((agent, known)) = waiting(local(settings))?
        {
            return Ok((Self::Agent(agent), known));
        }
        let window = args.origin.window.unwrap_or(observe::WINDOW);
        let usage = args.usage_timeout.unwrap_or(USAGE_TIMEOUT);
        let mut watch = observe::watch(settings)?;
        let snapshot = observe::observe(&mut watch, &Waits { runtimes: RUNTIMES_WITHIN, window, usage }, settings)?;
        let look = Look { watch, window, asked: clock::monotonic() };
        Ok((Self::Look(Box::new(look)), Report::new(&snapshot, clock::now())))
    }

    /// The answer anew.
    async fn again(&mut self) -> Result<Report, Failure> {
        match self {
            Self::Agent(agent) => ask(agent).await,
            Self::Look(look) => {
                if look.asked.elapsed() > RUNTIMES_EVERY {
                    ask_all(&look.watch.runtimes(), &ReplyLimits::default()).await;
                    look.asked = clock::monotonic();
                }
                Ok(Report::new(&look.watch.round(), clock::now()))
            }
        }
    }

    /// Whence, and how old.
    fn sentence(&self, known: &Report) -> String {
        match self {
            Self::Agent(agent) => origin::of_agent(&agent.address, known.age, known.stale),
            Self::Look(look) => origin::of_look(look.window),
        }
    }
}

async fn ask(agent: &Agent) -> Result<Report, Failure> {
    get(agent, "/api/v1/snapshot", SCHEMA_VERSION, Timeouts::PATIENT).await.map_err(Failure::Agent)
}
