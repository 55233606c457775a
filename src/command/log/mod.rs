//! How is the log written? As text or JSON on standard error, with an upper bound on lines: a layer that flaps, by accident or on
//! purpose, must not fill the disk that is watched.

mod budget;
#[cfg(test)]
pub(super) mod capture;

use crate::agent::clock;
use crate::cli::{LogArgs, LogFormat, LogLevel};
use budget::{Budget, Suppressed};
use std::fmt;
use std::io::{IsTerminal, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log; to be called once.
pub fn start(args: &LogArgs) {
    let level = match args.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(level);
    match args.format {
        LogFormat::Json => registry.with(Bounded::new(lines.json(), clock::monotonic)).init(),
        LogFormat::Text => {
            let lines = lines.with_ansi(stderr().is_terminal());
            registry.with(Bounded::new(lines, clock::monotonic)).init();
        }
    }
}

/// Lets through to `lines` what is within the budget, and says how much was not.
struct Bounded<L> {
    lines: L,
    clock: fn() -> Instant,
    start: Instant,
    budget: Mutex<Budget>,
}

/// Marks the events that say so, which are not counted themselves.
const SUPPRESSED: &str = "highwater::suppressed";

impl<L> Bounded<L> {
    fn new(lines: L, clock: fn() -> Instant) -> Self {
        Self { lines, clock, start: clock(), budget: Mutex::new(Budget::default()) }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, L: Layer<S>> Layer<S> for Bounded<L> {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == SUPPRESSED {
            return self.lines.on_event(event, context);
        }
        let subject = Subject::of(event);
        let seconds = (self.clock)().saturating_duration_since(self.start).as_secs();
        // Not held while something is written.
        let (passes, over) = self.budget.lock().unwrap_or_else(PoisonError::into_inner).spend(&subject.0, seconds);
        for Suppressed { subject, lines } in over {
            tracing::warn!(target: SUPPRESSED, of = subject, lines, "suppressed lines");
        }
        if passes {
            self.lines.on_event(event, context);
        }
    }
}

/// Whom a line is about: its layer, or else the place in the code that it comes from.
struct Subject(String);

impl Subject {
    fn of(event: &Event<'_>) -> Self {
        let mut layer = LayerField(None);
        event.record(&mut layer);
        let metadata = event.metadata();
        let place = || format!("{}:{}", metadata.target(), metadata.line().unwrap_or_default());
        Self(layer.0.unwrap_or_else(place))
    }
}

/// Reads the field `layer`.
struct LayerField(Option<String>);

impl Visit for LayerField {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "layer" {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "layer" {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture::Captured;

    #[test]
    fn a_layer_that_floods_is_cut_and_others_are_heard() {
        let captured = Captured::default();
        let written = captured.clone();
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || written.clone());
        let subscriber = tracing_subscriber::registry().with(Bounded::new(lines, clock::monotonic));
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..10_000 {
                tracing::warn!(layer = "host/evil", number, "source cannot be read");
            }
            tracing::warn!(layer = "host", "foreseen");
            tracing::info!("asked to terminate");
        });
        let text = captured.text();
        assert!(text.lines().filter(|line| line.contains("host/evil")).count() <= 50, "{text}");
        assert!(text.contains("foreseen layer=\"host\""), "{text}");
        assert!(text.contains("asked to terminate"), "{text}");
    }
}
