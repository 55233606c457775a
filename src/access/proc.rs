//! What does /proc say? Bounded reads of the entries of one process, below a handle of the procfs directory.
//!
//! Parsing is in `discover/parse/`. /proc itself is the kernel's and not hostile, but `cmdline` and `environ` read the memory of
//! the process and can hang with it: callers put those on a [`super::deadline::SingleFlight`].

use super::AccessError;
use super::root::Root;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A mounted procfs, or a directory of the same form.
#[derive(Debug, Clone)]
pub struct Procfs {
    directory: Arc<OwnedFd>,
    path: PathBuf,
}

/// A process: the pid alone may be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    /// As this procfs counts it.
    pub pid: u32,
    /// Its start in clock ticks since the boot.
    pub start_ticks: u64,
}

impl Procfs {
    /// Opens the directory, normally `/proc`.
    pub fn open(path: &Path) -> Result<Self, AccessError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(path, flags, Mode::empty()).map_err(|e| AccessError::os("open", path, e))?;
        Ok(Self { directory: Arc::new(directory), path: path.to_owned() })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ids of all processes that are visible, in the kernel's order.
    pub fn pids(&self) -> Result<Vec<u32>, AccessError> {
        let fail = |e| AccessError::os("list", &self.path, e);
        // A directory handle of its own: the position in an open directory is shared between duplicates.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = openat(self.directory.as_fd(), ".", flags, Mode::empty()).map_err(fail)?;
        let mut dir = Dir::from_fd(fd).map_err(fail)?;
        let mut pids = Vec::with_capacity(512);
        for entry in dir.iter() {
            let entry = entry.map_err(fail)?;
            if let Some(pid) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok()) {
                pids.push(pid);
            }
        }
        Ok(pids)
    }

    /// The entry `name` of a process, for example `stat` or `ns/pid`; cut off at `limit` bytes.
    pub fn read(&self, pid: u32, name: &str, limit: usize) -> Result<Vec<u8>, AccessError> {
        self.read_path(&format!("{pid}/{name}"), limit)
    }

    /// The name of a process's executable, without the newline, by one read into a buffer on the stack: this is the only thing
    /// that is read of most processes, so its cost is the cost of a scan.
    pub fn comm(&self, pid: u32) -> Result<Vec<u8>, AccessError> {
        let name = format!("{pid}/comm");
        let path = Path::new(&name);
        let fail = |attempt| move |e| AccessError::os(attempt, path, e);
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let fd = openat(self.directory.as_fd(), path, flags, Mode::empty()).map_err(fail("open"))?;
        // The kernel keeps 15 bytes, and gives them all at once.
        let mut buffer = [0_u8; 32];
        let length = nix::unistd::read(&fd, &mut buffer).map_err(fail("read"))?;
        let comm = buffer.get(..length).unwrap_or_default();
        Ok(comm.strip_suffix(b"\n").unwrap_or(comm).to_vec())
    }

    /// An entry that belongs to no process, for example `uptime`; cut off at `limit` bytes.
    pub fn read_path(&self, name: &str, limit: usize) -> Result<Vec<u8>, AccessError> {
        let path = Path::new(name);
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let fd =
            openat(self.directory.as_fd(), path, flags, Mode::empty()).map_err(|e| AccessError::os("open", path, e))?;
        let mut bytes = Vec::with_capacity(limit.min(512));
        File::from(fd)
            .take(u64::try_from(limit).unwrap_or(u64::MAX))
            .read_to_end(&mut bytes)
            .map_err(|e| AccessError::os("read", path, Errno::from_raw(e.raw_os_error().unwrap_or(0))))?;
        Ok(bytes)
    }

    /// The target of a link such as `ns/mnt` or `cwd`, as text.
    pub fn link(&self, pid: u32, name: &str) -> Result<PathBuf, AccessError> {
        let path = PathBuf::from(format!("{pid}/{name}"));
        let target =
            readlinkat(self.directory.as_fd(), &path).map_err(|e| AccessError::os("read the link", &path, e))?;
        Ok(PathBuf::from(target))
    }

    /// The targets of the links in a directory such as `fd`, at most `limit`; one that vanishes meanwhile is left out.
    pub fn links(&self, pid: u32, name: &str, limit: usize) -> Result<Vec<String>, AccessError> {
        let path = PathBuf::from(format!("{pid}/{name}"));
        let fail = |e| AccessError::os("list", &path, e);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = openat(self.directory.as_fd(), &path, flags, Mode::empty()).map_err(fail)?;
        let mut dir = Dir::from_fd(fd).map_err(fail)?;
        let names: Vec<_> =
            dir.iter().take(limit).filter_map(|entry| Some(entry.ok()?.file_name().to_owned())).collect();
        let target = |name: std::ffi::CString| readlinkat(dir.as_fd(), name.as_c_str()).ok();
        Ok(names.into_iter().filter_map(target).map(|target| target.to_string_lossy().into_owned()).collect())
    }

    /// A handle (O_PATH) of what a link such as `exe` stands for, and the path to call it by. The caller confirms the process
    /// afterwards.
    pub fn handle(&self, pid: u32, name: &str) -> Result<(OwnedFd, PathBuf), AccessError> {
        let path = PathBuf::from(format!("{pid}/{name}"));
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let handle = openat(self.directory.as_fd(), &path, flags, Mode::empty())
            .map_err(|e| AccessError::os("open", &path, e))?;
        Ok((handle, path))
    }

    /// Whether the pid still belongs to this process. To be asked after something of the process was opened.
    ///
    /// # Errors
    /// [`AccessError::ProcessGone`] when it is gone, or another process has its pid.
    pub fn confirm(&self, process: ProcessId) -> Result<(), AccessError> {
        let gone = || AccessError::ProcessGone { pid: process.pid };
        let bytes = self.read(process.pid, "stat", 4 << 10).map_err(|_| gone())?;
        // Field 22 of the line, counted from the last parenthesis: see proc(5).
        let fields = bytes.rsplit(|b| *b == b')').next().unwrap_or_default();
        let start = std::str::from_utf8(fields).ok().and_then(|text| text.split_ascii_whitespace().nth(19));
        if start.and_then(|ticks| ticks.parse().ok()) == Some(process.start_ticks) { Ok(()) } else { Err(gone()) }
    }

    /// The root directory of a process. The caller confirms the process afterwards.
    pub fn root(&self, pid: u32) -> Result<Root, AccessError> {
        Root::open_at(self.directory.as_fd(), Path::new(&format!("{pid}/root")))
    }
}
