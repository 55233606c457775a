//! Scrapes highwater and node_exporter (its filesystem collector only) in turn, in one run: time of a scrape, CPU for it,
//! resident memory. highwater keeps a rendered scrape for a second, so single scrapes with a pause before each are timed as well.
//! Budgets: time at most 0.5 x, memory at most 0.6 x node_exporter's; CPU at rest at most 0.3 % of one core.
//!
//! highwater is run as `demo`, whose made-up node has six layers on one disk, and as `run` on a made-up /proc of 300 processes with
//! six layers. The machine's load is printed: on a busy one only the ratios mean something.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a benchmark that cannot go on panics, and has a clock"
)]
#![expect(clippy::print_stdout, reason = "the result goes to the terminal")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::as_conversions,
    reason = "figures are printed with three digits, and ranks are small"
)]

#[path = "../it/fake_proc.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod fake_proc;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Rounds of one hundred scrapes; figures are medians over them.
const ROUNDS: usize = 9;
const SCRAPES: usize = 100;
/// Scrapes with a pause before each.
const ALONE: usize = 100;
/// How long the CPU at rest is watched.
const REST: Duration = Duration::from_mins(1);

struct Server {
    name: &'static str,
    process: Child,
    address: SocketAddr,
    p50: Vec<f64>,
    p99: Vec<f64>,
    cpu: Vec<f64>,
    /// Single scrapes with a pause before each, as Prometheus sends them: nothing is warm, and nothing rendered is kept.
    alone: Vec<f64>,
    bytes: usize,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Server {
    fn new(name: &'static str, process: Child, address: SocketAddr) -> Self {
        Self { name, process, address, p50: Vec::new(), p99: Vec::new(), cpu: Vec::new(), alone: Vec::new(), bytes: 0 }
    }

    fn highwater(name: &'static str, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_highwater"))
            .args(arguments)
            .arg("--web.listen-address=127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let url = lines.find_map(|line| line.strip_prefix("Serving on http://").map(str::to_owned)).unwrap();
        Self::new(name, process, url.trim_end_matches('/').parse().unwrap())
    }

    /// `None` where it is not installed.
    fn node_exporter() -> Option<Self> {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new("node_exporter")
            .args(["--collector.disable-defaults", "--collector.filesystem"])
            .arg(format!("--web.listen-address={address}"))
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        while TcpStream::connect(address).is_err() {
            sleep(Duration::from_millis(20));
        }
        Some(Self::new("node_exporter", process, address))
    }

    /// Nanoseconds of CPU that all threads have had.
    fn cpu_time(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        tasks
            .filter_map(|task| fs::read_to_string(task.unwrap().path().join("schedstat")).ok())
            .map(|text| text.split(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    /// Resident memory in KiB: all, and the part that is no file.
    fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        (field("VmRSS:"), field("RssAnon:"))
    }

    /// One hundred scrapes on one connection, as Prometheus keeps it.
    fn round(&mut self) {
        let mut stream = BufReader::new(TcpStream::connect(self.address).unwrap());
        let mut times = Vec::new();
        let cpu = self.cpu_time();
        for _ in 0..SCRAPES {
            let begin = Instant::now();
            self.bytes = scrape(&mut stream);
            times.push(begin.elapsed().as_secs_f64() * 1e6);
        }
        self.cpu.push((self.cpu_time() - cpu) as f64 / 1e3 / SCRAPES as f64);
        self.p50.push(quantile(&times, 0.5));
        self.p99.push(quantile(&times, 0.99));
    }
}

/// One scrape of each server after a pause in which whatever is kept for a second has gone.
fn scrape_alone(servers: &mut [Server]) {
    let mut streams: Vec<_> =
        servers.iter().map(|server| BufReader::new(TcpStream::connect(server.address).unwrap())).collect();
    for _ in 0..ALONE {
        sleep(Duration::from_millis(1_100));
        for (server, stream) in servers.iter_mut().zip(&mut streams) {
            let begin = Instant::now();
            scrape(stream);
            server.alone.push(begin.elapsed().as_secs_f64() * 1e6);
        }
    }
}

/// Sends what Prometheus sends and reads the answer; its length.
fn scrape(stream: &mut BufReader<TcpStream>) -> usize {
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nAccept-Encoding: gzip\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    let (mut length, mut chunked) = (0, false);
    for line in header(stream) {
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        chunked |= line == "transfer-encoding: chunked";
    }
    if !chunked {
        std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink()).unwrap();
        return usize::try_from(length).unwrap();
    }
    let mut total = 0;
    loop {
        let mut size = String::new();
        stream.read_line(&mut size).unwrap();
        let size = u64::from_str_radix(size.trim_end(), 16).unwrap();
        std::io::copy(&mut stream.by_ref().take(size + 2), &mut std::io::sink()).unwrap();
        if size == 0 {
            return total;
        }
        total += usize::try_from(size).unwrap();
    }
}

fn header(stream: &mut BufReader<TcpStream>) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => return lines,
            line => lines.push(line.to_owned()),
        }
    }
}

/// By nearest rank, so that the 0.99 of a hundred is the second greatest.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[(values.len() as f64 * part).ceil() as usize - 1]
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

fn main() {
    // `cargo bench -- FILTER` and `cargo test --benches` pass arguments of their own harness.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let proc = fake_proc::FakeProc::new();
    fake_proc::prow_node(&proc, 4, 300);
    let fake = format!("--path.procfs={}", proc.path().display());
    let mut servers = vec![
        Server::highwater("highwater demo", &["demo", "--speed=1"]),
        Server::highwater("highwater run, six layers, 300 processes", &["run", &fake]),
    ];
    match Server::node_exporter() {
        Some(peer) => servers.push(peer),
        None => println!("node_exporter is not installed: tests/tools/install node_exporter"),
    }
    // What is done once (the first pages of code, the first discovery) is not a scrape.
    servers.iter_mut().for_each(Server::round);
    for server in &mut servers {
        server.p50.clear();
        server.p99.clear();
        server.cpu.clear();
    }
    for _ in 0..ROUNDS {
        servers.iter_mut().for_each(Server::round);
    }
    scrape_alone(&mut servers);
    let before: Vec<u64> = servers.iter().map(Server::cpu_time).collect();
    sleep(REST);

    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    println!("{ROUNDS} rounds of {SCRAPES} scrapes each, in turn; medians of the rounds. Load average {load}.");
    println!(
        "{:42} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>8} {:>7}",
        "", "p50 us", "p99 us", "CPU us", "alone p50", "alone p99", "RSS KiB", "anon KiB", "body B", "rest %"
    );
    for (server, before) in servers.iter().zip(before) {
        let (resident, anonymous) = server.memory();
        let rest = (server.cpu_time() - before) as f64 / REST.as_nanos() as f64 * 100.0;
        println!(
            "{:42} {:8.0} {:8.0} {:8.0} {:9.0} {:9.0} {resident:9} {anonymous:9} {:8} {rest:7.2}",
            server.name,
            median(&server.p50),
            median(&server.p99),
            median(&server.cpu),
            median(&server.alone),
            quantile(&server.alone, 0.99),
            server.bytes
        );
    }
}
