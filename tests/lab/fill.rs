//! A disk that fills steadily: some MiB every second, until a line is crossed.

use crate::lab::Lab;
use crate::wait::now;
use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A fill under way on a thread of its own. Its file goes with this value.
#[derive(Debug)]
pub(crate) struct SteadyFill {
    /// When it began, in seconds since the epoch.
    pub(crate) began_at: f64,
    path: PathBuf,
    stop: Arc<AtomicBool>,
    crossed_at: Arc<Mutex<Option<f64>>>,
    thread: Option<JoinHandle<()>>,
}

impl SteadyFill {
    /// Takes `bytes` more every second, in the host's own folder, until fewer than `line` are available.
    pub(crate) fn start(lab: &Lab, bytes: u64, line: u64) -> Self {
        let facts = lab.facts();
        let folder = facts.layer("host").kubelet_root.as_ref().expect("the host has a kubelet").on_machine.clone();
        // A name that `lab unfill` removes too, should this program be killed.
        let path = folder.join("highwater-lab-fill.steady");
        let file = File::create_new(&path).expect("a new file in the host's folder");
        let stop = Arc::new(AtomicBool::new(false));
        let crossed_at = Arc::new(Mutex::new(None));
        let disk = facts.disk.mountpoint;
        let (stopped, crossed) = (Arc::clone(&stop), Arc::clone(&crossed_at));
        let began_at = now();
        let thread = std::thread::spawn(move || {
            let begin = Instant::now();
            while !stopped.load(Ordering::Acquire) {
                // By the clock and not by counting, so that a late step is made up for.
                let due = begin.elapsed().as_secs() * bytes;
                if due > 0 {
                    posix_fallocate(&file, 0, due.try_into().expect("a length")).expect("the disk has room");
                }
                if available(&disk) < line {
                    *crossed.lock().unwrap_or_else(PoisonError::into_inner) = Some(now());
                    return;
                }
                let whole = Duration::from_secs(begin.elapsed().as_secs() + 1);
                std::thread::sleep(whole.saturating_sub(begin.elapsed()));
            }
        });
        Self { began_at, path, stop, crossed_at, thread: Some(thread) }
    }

    /// When the line was crossed, in seconds since the epoch.
    pub(crate) fn crossed_at(&self) -> Option<f64> {
        *self.crossed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it still fills.
    pub(crate) fn goes_on(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for SteadyFill {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        std::fs::remove_file(&self.path).ok();
    }
}

fn available(disk: &Path) -> u64 {
    let told = statvfs(disk).expect("the disk is mounted");
    told.blocks_available() * told.fragment_size()
}
