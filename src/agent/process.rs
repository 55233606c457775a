//! What does highwater itself use? The figures of the standard `process_*` metrics.

use crate::snapshot::ProcessStats;
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Reads the figures of this process again and again.
#[derive(Debug)]
pub struct OwnProcess {
    watched: Option<(System, Pid)>,
}

impl OwnProcess {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self { watched: System::new().ok().zip(sysinfo::get_current_pid().ok()) }
    }

    /// The figures now; `None` where /proc does not show this process.
    pub fn stats(&mut self) -> Option<ProcessStats> {
        let (system, pid) = self.watched.as_mut()?;
        let wanted = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[*pid]), false, wanted);
        let process = system.process(*pid)?;
        let millis = i64::try_from(process.accumulated_cpu_time()).unwrap_or(i64::MAX);
        let started = i64::try_from(process.start_time()).unwrap_or(0);
        Some(ProcessStats {
            cpu: Span::from_millis(millis),
            resident: Bytes::new(process.memory()),
            virtual_memory: Bytes::new(process.virtual_memory()),
            started_at: Timestamp::from_micros(started.saturating_mul(1_000_000)),
            open_files: process.open_files().and_then(|count| u64::try_from(count).ok()),
            open_files_limit: process.open_files_limit().and_then(|count| u64::try_from(count).ok()),
        })
    }
}

impl Default for OwnProcess {
    fn default() -> Self {
        Self::new()
    }
}
