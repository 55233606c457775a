//! What lies below a directory? One descent at a time, depth first, with few open files and no recursion.

use super::error::WalkError;
use super::links::Links;
use super::look::{Entry, Mounts, look, open_below};
use super::meter::{Budget, Meter};
use crate::access::root::FileId;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Sums by claim, and what is needed to go on.
#[derive(Debug)]
pub(super) struct Tree<'a, 'm> {
    dev: u64,
    claimed: &'a HashMap<FileId, usize>,
    links: &'a mut Links,
    meter: &'a mut Meter<'m>,
    budget: &'a Budget,
    mounts: Mounts,
    sums: Vec<u64>,
    /// Claims whose directory has been read, alone or from around it.
    done: Vec<bool>,
    unreadable: u64,
    pending: usize,
}

/// A directory on the way down.
#[derive(Debug)]
struct Level {
    /// `None` where it was closed to save open files.
    dir: Option<OwnedFd>,
    id: FileId,
    /// Under this name the level above has it.
    name: CString,
    /// Whose bytes these are.
    account: usize,
    /// Directories in it that are still to be read.
    pending: Vec<CString>,
}

/// How many directories stay open: the deepest ones, and the first. The others are found again by "..".
const OPEN: usize = 16;

const READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NONBLOCK);

impl<'a, 'm> Tree<'a, 'm> {
    /// `claimed` gives each claimed directory the number of its account, 0 up to their count.
    pub(super) fn new(
        dev: u64,
        claimed: &'a HashMap<FileId, usize>,
        links: &'a mut Links,
        meter: &'a mut Meter<'m>,
        budget: &'a Budget,
    ) -> Self {
        let (sums, done) = (vec![0; claimed.len()], vec![false; claimed.len()]);
        let mounts = Mounts::Container;
        Self { dev, claimed, links, meter, budget, mounts, sums, done, unreadable: 0, pending: 0 }
    }

    /// The bytes of each account, and how many directories could not be read.
    pub(super) fn finish(self) -> (Vec<u64>, u64) {
        (self.sums, self.unreadable)
    }

    /// Walks a claimed directory, unless an earlier walk came to it.
    pub(super) fn walk(&mut self, root: BorrowedFd<'_>, id: FileId, mounts: Mounts) -> Result<(), WalkError> {
        let Some(&account) = self.claimed.get(&id) else { return Ok(()) };
        if self.done.get(account).copied().unwrap_or(true) {
            return Ok(());
        }
        self.mounts = mounts;
        let mut stack = Vec::new();
        // The handle is from O_PATH; "." opens it for reading.
        let opened = openat(root, c".", READ | OFlag::O_CLOEXEC, Mode::empty());
        self.enter(&mut stack, opened, c".".to_owned(), account)?;
        while let Some(top) = stack.last_mut() {
            match (top.pending.pop(), &top.dir) {
                (Some(name), Some(dir)) => {
                    self.pending -= 1;
                    let (opened, account) = (open_below(dir.as_fd(), &name, READ), top.account);
                    self.enter(&mut stack, opened, name, account)?;
                }
                (Some(_), None) => self.pending -= 1, // Not reached: `leave` opens the level it returns to.
                (None, _) => self.leave(&mut stack)?,
            }
        }
        Ok(())
    }

    /// Counts an opened directory and reads it onto the stack, unless it belongs to somebody whose walk is done.
    fn enter(
        &mut self,
        stack: &mut Vec<Level>,
        opened: nix::Result<OwnedFd>,
        name: CString,
        account: usize,
    ) -> Result<(), WalkError> {
        let fd = match opened {
            Ok(fd) => fd,
            // Gone, replaced by something else, or a mount point: nothing of this disk lies below.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EXDEV) => return Ok(()),
            Err(e) => return self.not_read(e),
        };
        let status = match fstat(&fd) {
            Ok(status) => status,
            Err(e) => return self.not_read(e),
        };
        let id = FileId::of(&status);
        if id.dev != self.dev {
            return Ok(());
        }
        let account = match self.claimed.get(&id) {
            Some(&claim) if self.done.get(claim).copied().unwrap_or(true) => return Ok(()),
            Some(&claim) => {
                if let Some(done) = self.done.get_mut(claim) {
                    *done = true;
                }
                claim
            }
            None => account,
        };
        self.add(account, Entry::from(&status).bytes);
        if stack.len() >= self.budget.depth {
            self.unreadable += 1;
            return Ok(());
        }
        let pending = self.read(&fd, account)?;
        stack.push(Level { dir: Some(fd), id, name, account, pending });
        // The first stays open, so that everything can be found again from there.
        let above = stack.len().checked_sub(OPEN).filter(|above| *above > 0);
        if let Some(level) = above.and_then(|above| stack.get_mut(above)) {
            level.dir = None;
        }
        Ok(())
    }

    /// Counts the files of a directory and gives its directories.
    fn read(&mut self, dir: &OwnedFd, account: usize) -> Result<Vec<CString>, WalkError> {
        let mut directories = Vec::new();
        let again = dir.try_clone().map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)));
        let mut entries = match again.and_then(Dir::from_fd) {
            Ok(entries) => entries,
            Err(e) => return self.not_read(e).map(|()| directories),
        };
        for entry in entries.iter() {
            let Ok(entry) = entry else {
                self.unreadable += 1;
                break;
            };
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.meter.entry()?;
            // Some filesystems do not say what it is, so that it has to be looked at.
            let is_directory = entry.file_type() == Some(Type::Directory) || self.file(dir.as_fd(), name, account)?;
            if is_directory && self.pending >= self.budget.pending {
                self.unreadable += 1;
            } else if is_directory {
                self.pending += 1;
                directories.push(name.to_owned());
            }
        }
        Ok(directories)
    }

    /// Counts a file; `true` where it turns out to be a directory, which is not counted.
    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr, account: usize) -> Result<bool, WalkError> {
        match look(dir, name, self.mounts) {
            Ok(Some(entry)) if !entry.is_directory => {
                let bytes = self.links.share(entry.inode, entry.names, entry.bytes);
                self.add(account, bytes);
                Ok(false)
            }
            Ok(entry) => Ok(entry.is_some()),
            Err(error) => self.not_read(error).map(|()| false),
        }
    }

    /// Returns from the deepest directory to the one above, which may have to be opened again.
    fn leave(&mut self, stack: &mut Vec<Level>) -> Result<(), WalkError> {
        let Some(left) = stack.pop() else { return Ok(()) };
        let Some(above) = stack.last_mut().filter(|above| above.dir.is_none()) else { return Ok(()) };
        let up = left.dir.and_then(|dir| openat(dir, c"..", READ | OFlag::O_CLOEXEC, Mode::empty()).ok());
        above.dir = up.filter(|fd| is(fd, above.id));
        if above.dir.is_none() { self.find_again(stack) } else { Ok(()) }
    }

    /// Somebody moved a directory while it was read: goes down again from the deepest one that is open, and gives up what is not
    /// where it was.
    fn find_again(&mut self, stack: &mut Vec<Level>) -> Result<(), WalkError> {
        let mut depth = stack.iter().rposition(|level| level.dir.is_some()).map_or(0, |open| open + 1);
        while let Some((above, [level, ..])) = stack.split_at_mut_checked(depth) {
            // Repeated moves must not make it endless.
            self.meter.entry()?;
            let Some((above, first)) = above.split_last_mut().map(|(above, others)| (above, others.is_empty())) else {
                break;
            };
            let opened = above.dir.as_ref().and_then(|dir| open_below(dir.as_fd(), &level.name, READ).ok());
            level.dir = opened.filter(|fd| is(fd, level.id));
            if level.dir.is_none() {
                break;
            }
            if !first {
                above.dir = None;
            }
            depth += 1;
        }
        for lost in stack.drain(depth..) {
            self.pending -= lost.pending.len();
            self.unreadable += u64::try_from(lost.pending.len()).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    fn add(&mut self, account: usize, bytes: u64) {
        if let Some(sum) = self.sums.get_mut(account) {
            *sum = sum.saturating_add(bytes);
        }
    }

    /// One directory that cannot be read is counted; what would fail for every other one as well ends the walk.
    fn not_read(&mut self, error: Errno) -> Result<(), WalkError> {
        match error {
            Errno::ENOSYS => Err(WalkError::NoOpenat2),
            Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM => Err(WalkError::OutOfFiles(error)),
            _ => {
                self.unreadable += 1;
                Ok(())
            }
        }
    }
}

/// Whether this is the directory that is meant.
fn is(fd: &OwnedFd, id: FileId) -> bool {
    fstat(fd).is_ok_and(|status| FileId::of(&status) == id)
}
