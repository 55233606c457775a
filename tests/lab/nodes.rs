//! Do nodes vanish and appear as they stop and start?

use crate::agent::Agent;
use crate::lab::Lab;
use crate::layers::{assert_places, complete, pairs, shows_all};
use crate::policy::assert_policies;
use crate::wait::{now, until};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Sampling periods within which a change must show.
const ROUNDS: usize = 2;

/// One round of the agent: when it began, and the layers it found.
#[derive(Debug)]
struct Round {
    at: f64,
    layers: BTreeSet<String>,
}

/// Rounds that began after `moment`, oldest first. One that was not seen makes the next one look earlier than it was, so that a
/// slow test judges the agent more mildly, never more strictly.
fn after(rounds: &[Round], moment: f64) -> Vec<&Round> {
    rounds.iter().filter(|round| round.at > moment).collect()
}

/// Collects rounds until told to stop.
fn watch(agent: &Agent, stop: &AtomicBool) -> Vec<Round> {
    let mut rounds: Vec<Round> = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let scrape = agent.scrape().expect("the agent answers");
        let at = scrape.at().expect("the disk is always measured");
        if rounds.last().is_none_or(|last| last.at < at) {
            let layers = scrape.series("highwater_layer_info").map(|(labels, _)| labels["layer"].clone()).collect();
            rounds.push(Round { at, layers });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    rounds
}

/// Rounds that the agent made while `act` ran, and then until `enough`.
fn during<T>(agent: &Agent, act: impl FnOnce() -> T) -> (Vec<Round>, T) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(agent, &stop));
        // The watcher must end also where `act` fails.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let result = act();
            let end = now();
            // One more than needed, so that a late change is told from none.
            let mut seen = BTreeSet::new();
            until("rounds after it", || {
                let at = agent.scrape()?.at().filter(|at| *at > end);
                seen.extend(at.map(f64::to_bits));
                if seen.len() > ROUNDS { Ok(()) } else { Err(format!("{} rounds", seen.len())) }
            });
            result
        }));
        stop.store(true, Ordering::Release);
        let rounds = watcher.join().expect("the agent was watched");
        (rounds, result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Starts the node again where a test fails before it does.
struct Stopped<'a> {
    lab: &'a Lab,
    node: &'a str,
    is_down: bool,
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        if self.is_down {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.lab.verb(&["node-start", self.node]))).ok();
        }
    }
}

fn stops_and_starts(node: &str) {
    let lab = Lab::take();
    let (agent, before, _) = complete(&lab);
    let told = before.layer(node);
    let mut guard = Stopped { lab: &lab, node, is_down: true };

    let (rounds, stopped_at) = during(&agent, || {
        lab.verb(&["node-stop", node]);
        now()
    });
    let rounds = after(&rounds, stopped_at);
    let late: Vec<_> = rounds.iter().skip(ROUNDS - 1).filter(|round| round.layers.contains(&told.id)).collect();
    assert!(rounds.len() >= ROUNDS && late.is_empty(), "stopped at {stopped_at}: {rounds:#?}");
    let (gone, ()) = agent.snapshot_after(stopped_at, "the rest", |found| shows_all(found, &lab.facts()));
    assert_places(&gone, &lab.facts());

    let (rounds, started_at) = during(&agent, || {
        lab.verb(&["node-start", node]);
        now()
    });
    guard.is_down = false;
    let facts = lab.facts();
    let runtime = facts.layer(node).runtime.as_ref().expect("the node runs");
    // A layer is there when its runtime is. Its name is Docker's to tell, so in its first rounds it may have its id for one.
    let rounds_of_runtime = after(&rounds, runtime.start_time);
    let second = rounds_of_runtime.get(ROUNDS - 1).expect("two rounds were waited for");
    assert_eq!(second.layers.len(), before.layers.len(), "started at {}: {rounds:#?}", runtime.start_time);
    let whole = after(&rounds, started_at);
    let whole = whole.get(ROUNDS - 1).expect("two rounds were waited for");
    assert!(whole.layers.contains(&told.id), "{whole:#?}");

    // By its own name, of the same kind, with the same policy, in the same place.
    let (snapshot, ()) = agent.snapshot_after(started_at, "all layers", |found| shows_all(found, &facts));
    assert_places(&snapshot, &facts);
    assert_policies(&snapshot, &facts);
    for (found, told) in pairs(&snapshot, &facts) {
        assert_eq!(found.kind, before.layer(&told.name).kind);
    }
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn a_kind_node_that_stops_and_starts_vanishes_and_appears_within_two_rounds() {
    stops_and_starts("kind-control-plane");
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn an_old_capd_node_that_stops_and_starts_vanishes_and_appears_within_two_rounds() {
    stops_and_starts("capd-old-worker");
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn a_new_capd_node_that_stops_and_starts_vanishes_and_appears_within_two_rounds() {
    stops_and_starts("capd-new-worker");
}
