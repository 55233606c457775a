//! Which layer holds how much? A slow walk on a thread of its own; the sampler takes the latest result without waiting.

use super::clock;
use super::filesystems::Location;
use super::lock::lock;
use crate::layer::LayerId;
use crate::sample::{Absence, AbsenceReason, DiskUsage, FilesystemId, Reading};
use crate::source::statfs;
use crate::source::walk::{Budget, Claim, Disk, WalkError, walk};
use crate::units::Bytes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// One filesystem to walk.
#[derive(Debug, Clone)]
pub struct Task {
    /// The outermost layer of the filesystem, which gets what nobody claims.
    pub outermost: LayerId,
    /// A directory on it that can be measured.
    pub place: Location,
    /// The directories that layers hold, outermost first.
    pub claims: Vec<Claim>,
}

/// What to walk, and what the last walks gave. Locks are held for a copy, never during a walk.
#[derive(Debug, Default)]
pub struct Usage {
    tasks: Mutex<BTreeMap<FilesystemId, Task>>,
    latest: Mutex<BTreeMap<FilesystemId, Reading<DiskUsage>>>,
    posted: Condvar,
    stop: AtomicBool,
}

impl Usage {
    /// Nothing to walk yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces what is to be walked; figures of other filesystems are forgotten.
    pub fn set_tasks(&self, tasks: BTreeMap<FilesystemId, Task>) {
        lock(&self.latest).retain(|id, _| tasks.contains_key(id));
        *lock(&self.tasks) = tasks;
        self.posted.notify_all();
    }

    /// The latest figures.
    pub fn latest(&self) -> BTreeMap<FilesystemId, Reading<DiskUsage>> {
        lock(&self.latest).clone()
    }

    /// Ends a running walk, and the loop of [`Usage::run`].
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.posted.notify_all();
    }

    /// Walks every filesystem once.
    pub fn walk_all(&self, budget: &Budget) {
        let tasks = lock(&self.tasks).clone();
        for (id, task) in tasks {
            let disk = Disk { dev: id.dev, rest: task.outermost.clone() };
            let begin = clock::monotonic();
            let result = walk(&disk, &task.claims, || used(&task), &|| begin.elapsed(), budget, &self.stop);
            let usage = result.map(|walked| walked.usage).map_err(|error| absence(&error));
            let reading = Reading::from_result(usage, clock::now());
            if let Reading::Absent(absence) = &reading {
                tracing::warn!(filesystem = %id, %absence, "usage of the layers is not known");
            }
            if lock(&self.tasks).contains_key(&id) {
                lock(&self.latest).insert(id, reading);
            }
        }
    }

    /// Walks again and again until stopped, with a pause of `interval` between two walks, and of at least ten times what the
    /// last one took. The first walk waits until layers have been found.
    pub fn run(&self, interval: Duration, budget: &Budget) {
        let empty = lock(&self.tasks);
        drop(self.posted.wait_while(empty, |tasks| tasks.is_empty() && !self.stop.load(Ordering::Acquire)));
        while !self.stop.load(Ordering::Acquire) {
            let begin = clock::monotonic();
            self.walk_all(budget);
            self.pause(interval.max(begin.elapsed().saturating_mul(10)));
        }
    }

    fn pause(&self, pause: Duration) {
        let until = clock::monotonic() + pause;
        let mut guard = lock(&self.tasks);
        while !self.stop.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return;
            }
            guard = self.posted.wait_timeout(guard, left).map_or_else(|e| e.into_inner().0, |(guard, _)| guard);
        }
    }
}

fn absence(error: &WalkError) -> Absence {
    let reason = match error {
        WalkError::TooManyEntries { .. } => AbsenceReason::TooLarge,
        WalkError::TooSlow { .. } => AbsenceReason::TimedOut,
        WalkError::Stopped => AbsenceReason::NotRead,
        _ => AbsenceReason::Failed,
    };
    Absence::new(reason, error.to_string().as_str())
}

fn used(task: &Task) -> Option<Bytes> {
    Some(statfs::read(&task.place.root, &task.place.path).ok()?.space.used())
}
