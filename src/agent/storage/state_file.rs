//! How is the file of the state read at the start, and replaced later? What is wrong is logged once, and the agent goes on.

use super::directory::{ASIDE, Directory, NAME};
use super::form::{self, Damage};
use crate::assess::State;
use crate::time::{Span, Timestamp};
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Which boot of the machine it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::agent) struct Boot {
    /// The kernel's boot_id; `None`: it cannot be read, and then no boot is known to be the same.
    pub(in crate::agent) id: Option<String>,
    /// When it began, on the wall clock: start times of processes are told from it, to the microsecond.
    pub(in crate::agent) at: Option<Timestamp>,
}

/// What was restored at the start.
#[derive(Debug, Default)]
pub(in crate::agent) struct Restored {
    /// The state.
    pub(in crate::agent) state: State,
    /// The boot time that the start times in it rest on; `None` where they are not of this boot of the machine.
    pub(in crate::agent) booted_at: Option<Timestamp>,
}

/// The file of the state, read once and then replaced.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    /// `None` while it cannot be opened.
    directory: Option<Directory>,
    failed: bool,
}

/// Why a file cannot be used.
#[derive(Debug, Error)]
enum Unusable {
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error("it is of {0}, in the future: the clock was set back")]
    Future(Timestamp),
}

/// A clock is corrected by less than that without being set.
const FUTURE: Span = Span::from_secs(1);

impl StateFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, directory: None, failed: false }
    }

    /// The state that is there; none where there is no file, or one that cannot be used, which is set aside.
    pub(super) fn restore(&mut self, now: Timestamp, boot: &Boot) -> Restored {
        let directory = match Directory::open(&self.path) {
            Ok(directory) => self.directory.insert(directory),
            Err(error) => {
                self.failed(&error);
                return Restored::default();
            }
        };
        match restored(directory, now, boot) {
            Ok(restored) => restored,
            Err(error) => {
                let file = self.path.join(NAME);
                let aside = directory.set_aside();
                let now_at = if aside.is_ok() { ASIDE } else { NAME };
                tracing::warn!(file = %file.display(), %error, now_at, "the state cannot be restored and starts empty");
                Restored::default()
            }
        }
    }

    /// Replaces the file. A failure is logged when it begins and when it is over.
    pub(super) fn write(&mut self, file: &[u8]) {
        let result = match &self.directory {
            Some(directory) => directory.replace(file),
            None => Directory::open(&self.path).and_then(|directory| self.directory.insert(directory).replace(file)),
        };
        match result {
            Ok(()) if self.failed => {
                self.failed = false;
                tracing::info!(directory = %self.path.display(), "the state is written again");
            }
            Ok(()) => {}
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &io::Error) {
        // It may have been removed, or its disk mounted anew: the next time it is opened again.
        self.directory = None;
        if !self.failed {
            tracing::warn!(directory = %self.path.display(), %error, "the state is not written");
        }
        self.failed = true;
    }
}

fn restored(directory: &Directory, now: Timestamp, boot: &Boot) -> Result<Restored, Unusable> {
    let Some(bytes) = directory.read()? else { return Ok(Restored::default()) };
    let (origin, pieces) = form::decode(&bytes)?;
    if origin.at > now + FUTURE {
        return Err(Unusable::Future(origin.at));
    }
    let state = State::resume(pieces, origin.at);
    if boot.id.is_some() && origin.boot_id == boot.id {
        return Ok(Restored { state, booted_at: origin.booted_at });
    }
    tracing::info!("the machine was restarted since the state was written: only the scores are restored");
    Ok(Restored { state: state.after_reboot(), booted_at: None })
}
