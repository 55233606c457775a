//! Where is the state persisted while highwater does not run? In one file of one directory, replaced as a whole once a minute.
//!
//! A disk that is full, read-only, slow or gone costs the state, never the agent, and is logged once. A file that is not what
//! was written is set aside with a warning. All of it happens on a thread of its own, which is waited for at the start and at
//! the end for a limited time. docs/adr/0006-state-file.md says why it is so.

mod directory;
mod form;
mod state_file;
#[cfg(test)]
mod tests;

use crate::assess::State;
use crate::time::{Span, Timestamp};
use form::Origin;
use nix::sched::{CloneFlags, unshare};
use state_file::StateFile;
pub(super) use state_file::{Boot, Restored};
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

/// The thread that writes the state.
#[derive(Debug)]
pub(super) struct Storage {
    files: SyncSender<Vec<u8>>,
    ended: Receiver<()>,
    next: Timestamp,
}

/// What is lost at most when the agent is killed; the forecast bridges a gap of less than five minutes.
const INTERVAL: Span = Span::from_secs(60);
/// A healthy disk answers in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(3);

impl Storage {
    /// Restores the state from the directory, which is made where it is not there.
    ///
    /// # Errors
    /// When a thread cannot be started; whatever is wrong with the directory is a warning.
    pub(super) fn start(path: &Path, now: Timestamp, boot: &Boot) -> io::Result<(Self, Restored)> {
        let (files, to_write) = sync_channel::<Vec<u8>>(1);
        let (found, first) = sync_channel(1);
        let (alive, ended) = sync_channel(0);
        let (own_path, own_boot) = (path.to_owned(), boot.clone());
        Builder::new().name("storage".to_owned()).spawn(move || {
            // Dropped when this thread ends.
            let _alive: SyncSender<()> = alive;
            // A table of open files of its own: when the agent is killed while another thread hangs in the kernel, the lock on
            // the directory does not outlive it. Where that cannot be had, it may.
            unshare(CloneFlags::CLONE_FILES).ok();
            let mut file = StateFile::new(own_path);
            // After the timeout nobody receives it.
            found.send(file.restore(now, &own_boot)).ok();
            for bytes in to_write {
                file.write(&bytes);
            }
        })?;
        let found = first.recv_timeout(TIMEOUT).unwrap_or_else(|_| {
            tracing::warn!(directory = %path.display(), "the state is not restored: its disk does not answer");
            Restored::default()
        });
        Ok((Self { files, ended, next: now + INTERVAL }, found))
    }

    /// Hands over the state where it is time to. Never waits: a disk that is busy with the last one gets the next one.
    pub(super) fn keep(&mut self, state: &State, now: Timestamp, boot: impl FnOnce() -> Boot) {
        // Further away than that after the clock was set back.
        if now < self.next && self.next.since(now) <= INTERVAL {
            return;
        }
        self.next = now + INTERVAL;
        self.files.try_send(file(state, now, &boot())).ok();
    }

    /// Hands over the state a last time and waits until it is written, but not for ever.
    pub(super) fn finish(self, state: &State, now: Timestamp, boot: &Boot) {
        let given = self.files.try_send(file(state, now, boot)).is_ok();
        drop(self.files);
        let in_time = self.ended.recv_timeout(TIMEOUT) != Err(RecvTimeoutError::Timeout);
        if !given || !in_time {
            tracing::warn!("the last state is not written: its disk does not answer");
        }
    }
}

fn file(state: &State, now: Timestamp, boot: &Boot) -> Vec<u8> {
    form::encode(&Origin::new(now, boot.id.clone(), boot.at), state.persisted())
}
