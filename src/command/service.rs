//! What does systemd hear? That the agent is ready, that it lives, and that it ends; nothing where it did not start the agent.

use crate::time::Timestamp;
use crate::web::Published;
use sd_notify::NotifyState;
use std::future::pending;

/// The first round is done and the sockets listen.
pub(super) fn ready() {
    tell(NotifyState::Ready);
}

/// Requests in flight are answered, then it ends.
pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Feeds the watchdog of the unit (`WatchdogSec=`) for as long as samples come; never returns. It runs where requests are
/// answered, so that it also stops when that hangs.
pub(super) async fn keep_alive(published: &Published, clock: impl Fn() -> Timestamp) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return pending().await };
    loop {
        if published.newest().is_some_and(|snapshot| !snapshot.is_stale(clock())) {
            tell(NotifyState::Watchdog);
        }
        tokio::time::sleep(limit / 2).await;
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
