//! What becomes of the state's file at the start, and of each new one: what is wrong is said once, and the agent goes on.

use super::directory::{ASIDE, Directory, NAME};
use super::form::{self, Damage};
use crate::assess::State;
use crate::time::{Span, Timestamp};
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Which run of the machine it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::agent) struct Boot {
    /// The kernel's boot_id; `None`: it cannot be read, and then no run is known to be the same.
    pub(in crate::agent) id: Option<String>,
    /// When it began, on the wall clock: start times of processes are told from it, to the microsecond.
    pub(in crate::agent) at: Option<Timestamp>,
}

/// What was found at the start.
#[derive(Debug, Default)]
pub(in crate::agent) struct Found {
    /// The state, fit to go on with.
    pub(in crate::agent) state: State,
    /// The boot time that the start times in it rest on; `None` where they are not of this run of the machine.
    pub(in crate::agent) booted_at: Option<Timestamp>,
}

/// Reads the file once and replaces it as often as it is told to.
#[derive(Debug)]
pub(super) struct Keeper {
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
    #[error("it is of {0}, which is still to come: the clock was set back")]
    Future(Timestamp),
}

/// A clock is corrected by less than that without being set.
const FUTURE: Span = Span::from_secs(1);

impl Keeper {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, directory: None, failed: false }
    }

    /// The state that is there; none where there is no file, or one that cannot be used, which is set aside.
    pub(super) fn take_up(&mut self, now: Timestamp, boot: &Boot) -> Found {
        let directory = match Directory::open(&self.path) {
            Ok(directory) => self.directory.insert(directory),
            Err(error) => {
                self.failed(&error);
                return Found::default();
            }
        };
        match found(directory, now, boot) {
            Ok(found) => found,
            Err(error) => {
                let file = self.path.join(NAME);
                let aside = directory.set_aside();
                let now_at = if aside.is_ok() { ASIDE } else { NAME };
                tracing::warn!(file = %file.display(), %error, now_at, "the state cannot be used and is begun anew");
                Found::default()
            }
        }
    }

    /// Replaces the file. A failure is said when it begins and when it is over.
    pub(super) fn write(&mut self, file: &[u8]) {
        let result = match &self.directory {
            Some(directory) => directory.replace(file),
            None => Directory::open(&self.path).and_then(|directory| self.directory.insert(directory).replace(file)),
        };
        match result {
            Ok(()) if self.failed => {
                self.failed = false;
                tracing::info!(directory = %self.path.display(), "the state is kept again");
            }
            Ok(()) => {}
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &io::Error) {
        // It may have been removed, or its disk mounted anew: the next time it is opened again.
        self.directory = None;
        if !self.failed {
            tracing::warn!(directory = %self.path.display(), %error, "the state is not kept");
        }
        self.failed = true;
    }
}

fn found(directory: &Directory, now: Timestamp, boot: &Boot) -> Result<Found, Unusable> {
    let Some(bytes) = directory.read()? else { return Ok(Found::default()) };
    let (origin, pieces) = form::decode(&bytes)?;
    if origin.at > now + FUTURE {
        return Err(Unusable::Future(origin.at));
    }
    let state = State::resume(pieces, origin.at);
    if boot.id.is_some() && origin.boot_id == boot.id {
        return Ok(Found { state, booted_at: origin.booted_at });
    }
    tracing::info!("the machine was restarted since the state was written: only the scores are taken up");
    Ok(Found { state: state.after_reboot(), booted_at: None })
}
