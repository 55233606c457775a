//! The agent itself: the built program, started as an operator would.

use crate::http;
use crate::scrape::Scrape;
use crate::snapshot::Snapshot;
use crate::wait::until;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_highwater");

/// A running agent; it ends with this value, and tells its log where the test failed.
#[derive(Debug)]
pub(crate) struct Agent {
    process: Child,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

const LOG: &str = "log";

impl Agent {
    /// Starts it with short intervals and waits until it says where it serves.
    pub(crate) fn start() -> Self {
        Self::with(&["--sample.interval=1s", "--runtime.interval=2s", "--usage.interval=1s"])
    }

    /// The same with these flags.
    pub(crate) fn with(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = File::create(folder.path().join(LOG)).expect("a new file");
        let mut process = Command::new(PROGRAM)
            .args(flags)
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the agent can be started");
        let output = BufReader::new(process.stdout.take().expect("stdout is piped"));
        let mut agent = Self { process, address: SocketAddr::from(([0, 0, 0, 0], 0)), folder };
        let mut lines = output.lines().map(|line| line.expect("UTF-8"));
        let url = lines.find_map(|line| line.strip_prefix("Serving on ").map(str::to_owned));
        let url = url.expect("the agent says where it serves");
        let address = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
        agent.address = address.and_then(|address| address.parse().ok()).expect("an address and a port");
        agent
    }

    /// The latest snapshot.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, String> {
        http::get(self.address, "/api/v1/snapshot").map(|text| Snapshot::parse(&text))
    }

    /// The first snapshot seen whose round began after `moment`, and which `fits`.
    pub(crate) fn snapshot_after<T>(
        &self,
        moment: f64,
        what: &str,
        fits: impl Fn(&Snapshot) -> Result<T, String>,
    ) -> (Snapshot, T) {
        until(what, || {
            let snapshot = self.snapshot()?;
            if snapshot.sampled_at() < moment {
                return Err("no new round".to_owned());
            }
            let value = fits(&snapshot)?;
            Ok((snapshot, value))
        })
    }

    /// The text of a scrape.
    pub(crate) fn metrics(&self) -> Result<String, String> {
        http::get(self.address, "/metrics")
    }

    /// A scrape.
    pub(crate) fn scrape(&self) -> Result<Scrape, String> {
        Scrape::parse(&self.metrics()?)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already; then the log says why.
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking()
            && let Ok(log) = std::fs::read_to_string(self.folder.path().join(LOG))
        {
            print_log(&log);
        }
    }
}

#[expect(clippy::print_stderr, reason = "belongs to the failure")]
fn print_log(log: &str) {
    eprintln!("the agent's log:\n{log}");
}
