//! Waiting for what must come, without a guess how long it takes.

use std::time::{Duration, Instant, SystemTime};

/// Only a defect takes this long: a round of the agent takes a second, and a rule is evaluated every 30 seconds.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(100);

/// Asks until the answer is `Ok`.
///
/// # Panics
///
/// With the last `Err` when patience is over.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let begin = Instant::now();
    loop {
        match ask() {
            Ok(value) => return value,
            Err(why) if begin.elapsed() > PATIENCE => panic!("waited {PATIENCE:?} for {what}: {why}"),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Seconds since the Unix epoch, as the agent and the lab count them.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64()
}
