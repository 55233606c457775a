//! Is a slow daemon asked less often, and as often as before once it is well again?

use super::cri::well;
use super::peer::{Answer, Place};
use highwater::access::socket::ReplyLimits;
use highwater::agent::clock;
use highwater::agent::pace::Pace;
use highwater::agent::runtimes::{Runtimes, Target, ask_some};
use highwater::discover::LayerKey;
use highwater::sample::{AbsenceReason, RuntimeKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LAYER: LayerKey = LayerKey { pid: 7, start_ticks: 1 };

#[test]
fn a_daemon_that_hangs_is_asked_less_often_until_it_answers_again() {
    let hangs = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&hangs);
    let place = Place::with_grpc(move |call| if asked.load(Ordering::Acquire) { Answer::Hang } else { well(call) });
    let runtimes = Arc::new(Runtimes::new());
    let target = Target {
        layer: LAYER,
        kind: RuntimeKind::Containerd,
        endpoint: place.endpoint(),
        cri: None,
        stored: Arc::default(),
        sandbox_image: None,
    };
    runtimes.set_targets(vec![target]);
    // Two calls of a second are given up: a twentieth of more than half a minute.
    let limits = ReplyLimits { call: Duration::from_secs(1), ..ReplyLimits::default() };
    let interval = Duration::from_secs(30);
    let mut pace = Pace::new(interval);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |pace: &mut Pace| {
        for (layer, took) in runtime.block_on(ask_some(&runtimes, &limits, |layer| layer == LAYER)) {
            pace.took(layer, clock::monotonic(), took);
        }
        let answers = runtimes.answers();
        answers[&LAYER].state.absence().map(|absence| absence.reason)
    };
    assert!(matches!(ask(&mut pace), Some(AbsenceReason::TimedOut | AbsenceReason::NotRead)));
    assert!(pace.pause(LAYER) > interval);
    assert_eq!(pace.due(clock::monotonic() + interval, [LAYER]), [].into(), "its turn is later");

    hangs.store(false, Ordering::Release);
    for _ in 0..4 {
        assert_eq!(ask(&mut pace), None, "the answer is there as soon as it is well");
    }
    assert_eq!(pace.pause(LAYER), interval);
}
