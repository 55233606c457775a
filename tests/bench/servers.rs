//! The servers that are compared: how each is started, and what the kernel says of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// A process that serves metrics, killed at the end.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Server {
    /// The build that cargo made for the benchmark.
    pub(crate) fn highwater(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_highwater"))
            .args(arguments)
            .arg("--web.listen-address=127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let url = lines.find_map(|line| line.strip_prefix("Serving on http://").map(str::to_owned)).unwrap();
        Self { process, address: url.trim_end_matches('/').parse().unwrap() }
    }

    /// With its filesystem collector only. `None`, and a line that says so, where it is not installed.
    pub(crate) fn node_exporter(arguments: &[&str]) -> Option<Self> {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new("node_exporter")
            .args(["--collector.disable-defaults", "--collector.filesystem"])
            .arg(format!("--web.listen-address={address}"))
            .args(arguments)
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = process else {
            println!("node_exporter is not installed: tests/tools/install node_exporter");
            return None;
        };
        while TcpStream::connect(address).is_err() {
            sleep(Duration::from_millis(20));
        }
        Some(Self { process, address })
    }

    /// Nanoseconds of CPU that all threads have had.
    pub(crate) fn cpu_time(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        tasks
            .filter_map(|task| fs::read_to_string(task.unwrap().path().join("schedstat")).ok())
            .map(|text| text.split(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    /// A size of `/proc/PID/status` in KiB, such as `VmRSS`.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// By nearest rank, so that the 0.99 of a hundred is the second greatest.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[(values.len() as f64 * part).ceil() as usize - 1]
}

/// The machine's load over 1, 5 and 15 minutes.
pub(crate) fn load_average() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
