//! Where is what was learnt kept while highwater does not run? In one file of one directory, replaced as a whole from time to
//! time.
//!
//! A disk that is full, read-only, slow or gone costs the state, never the agent, and is said once. A file that is not what
//! was written is set aside and said once. All of it happens on a thread of its own, which is waited for at the start and at
//! the end for a limited time.

mod directory;
mod form;
mod keeper;
#[cfg(test)]
mod tests;

use crate::assess::State;
use crate::time::{Span, Timestamp};
use form::Origin;
use keeper::Keeper;
pub(super) use keeper::{Boot, Found};
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

/// The thread that keeps the state.
#[derive(Debug)]
pub(super) struct Storage {
    files: SyncSender<Vec<u8>>,
    ended: Receiver<()>,
    next: Timestamp,
}

/// So much is lost at most when the agent is killed; a hole of less than five minutes is bridged by the forecast.
const EVERY: Span = Span::from_secs(60);
/// A healthy disk answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);

impl Storage {
    /// Takes up the state that is in the directory, which is made where it is not there.
    ///
    /// # Errors
    /// When a thread cannot be started; whatever is wrong with the directory is a warning.
    pub(super) fn start(path: &Path, now: Timestamp, boot: &Boot) -> io::Result<(Self, Found)> {
        let (files, to_write) = sync_channel::<Vec<u8>>(1);
        let (found, first) = sync_channel(1);
        let (alive, ended) = sync_channel(0);
        let (own_path, own_boot) = (path.to_owned(), boot.clone());
        Builder::new().name("storage".to_owned()).spawn(move || {
            // Dropped when this thread ends.
            let _alive: SyncSender<()> = alive;
            let mut keeper = Keeper::new(own_path);
            // Where this took too long nobody wants it any more.
            found.send(keeper.take_up(now, &own_boot)).ok();
            for file in to_write {
                keeper.write(&file);
            }
        })?;
        let found = first.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            tracing::warn!(directory = %path.display(), "the state is not taken up: its disk does not answer");
            Found::default()
        });
        Ok((Self { files, ended, next: now + EVERY }, found))
    }

    /// Hands over the state where it is time to. Never waits: a disk that is busy with the last one gets the next one.
    pub(super) fn keep(&mut self, state: &State, now: Timestamp, boot: impl FnOnce() -> Boot) {
        // Further away than that after the clock was set back.
        if now < self.next && self.next.since(now) <= EVERY {
            return;
        }
        self.next = now + EVERY;
        self.files.try_send(file(state, now, &boot())).ok();
    }

    /// Hands over the state a last time and waits until it is written, but not for ever.
    pub(super) fn finish(self, state: &State, now: Timestamp, boot: &Boot) {
        let given = self.files.try_send(file(state, now, boot)).is_ok();
        drop(self.files);
        let in_time = self.ended.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout);
        if !given || !in_time {
            tracing::warn!("the last state is not written: its disk does not answer");
        }
    }
}

fn file(state: &State, now: Timestamp, boot: &Boot) -> Vec<u8> {
    form::encode(&Origin::new(now, boot.id.clone(), boot.at), state.kept())
}
