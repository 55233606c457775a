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
mod servers;

use servers::{Server, load_average, quantile};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Rounds of one hundred scrapes; figures are medians over them.
const ROUNDS: usize = 9;
const SCRAPES: usize = 100;
/// Scrapes with a pause before each.
const ALONE: usize = 100;
/// How long the CPU at rest is watched.
const REST: Duration = Duration::from_mins(1);

/// A server and what was measured of it.
struct Target {
    name: &'static str,
    server: Server,
    p50: Vec<f64>,
    p99: Vec<f64>,
    cpu: Vec<f64>,
    /// Single scrapes with a pause before each, as Prometheus sends them: nothing is warm, and nothing rendered is kept.
    alone: Vec<f64>,
    bytes: usize,
}

impl Target {
    fn new(name: &'static str, server: Server) -> Self {
        Self { name, server, p50: Vec::new(), p99: Vec::new(), cpu: Vec::new(), alone: Vec::new(), bytes: 0 }
    }

    /// One hundred scrapes on one connection, as Prometheus keeps it.
    fn round(&mut self) {
        let mut stream = BufReader::new(TcpStream::connect(self.server.address).unwrap());
        let mut times = Vec::new();
        let cpu = self.server.cpu_time();
        for _ in 0..SCRAPES {
            let begin = Instant::now();
            self.bytes = scrape(&mut stream);
            times.push(begin.elapsed().as_secs_f64() * 1e6);
        }
        self.cpu.push((self.server.cpu_time() - cpu) as f64 / 1e3 / SCRAPES as f64);
        self.p50.push(quantile(&times, 0.5));
        self.p99.push(quantile(&times, 0.99));
    }
}

/// One scrape of each server after a pause in which whatever is kept for a second has gone.
fn scrape_alone(targets: &mut [Target]) {
    let mut streams: Vec<_> =
        targets.iter().map(|target| BufReader::new(TcpStream::connect(target.server.address).unwrap())).collect();
    for _ in 0..ALONE {
        sleep(Duration::from_millis(1_100));
        for (target, stream) in targets.iter_mut().zip(&mut streams) {
            let begin = Instant::now();
            scrape(stream);
            target.alone.push(begin.elapsed().as_secs_f64() * 1e6);
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
    let mut targets = vec![
        Target::new("highwater demo", Server::highwater(&["demo", "--speed=1"])),
        Target::new("highwater run, six layers, 300 processes", Server::highwater(&["run", &fake])),
    ];
    targets.extend(Server::node_exporter(&[]).map(|peer| Target::new("node_exporter", peer)));
    // What is done once (the first pages of code, the first discovery) is not a scrape.
    targets.iter_mut().for_each(Target::round);
    for target in &mut targets {
        target.p50.clear();
        target.p99.clear();
        target.cpu.clear();
    }
    for _ in 0..ROUNDS {
        targets.iter_mut().for_each(Target::round);
    }
    scrape_alone(&mut targets);
    let before: Vec<u64> = targets.iter().map(|target| target.server.cpu_time()).collect();
    sleep(REST);

    let load = load_average();
    println!("{ROUNDS} rounds of {SCRAPES} scrapes each, in turn; medians of the rounds. Load average {load}.");
    println!(
        "{:42} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>8} {:>7}",
        "", "p50 us", "p99 us", "CPU us", "alone p50", "alone p99", "RSS KiB", "anon KiB", "body B", "rest %"
    );
    for (target, before) in targets.iter().zip(before) {
        let (resident, anonymous) = (target.server.memory("VmRSS"), target.server.memory("RssAnon"));
        let rest = (target.server.cpu_time() - before) as f64 / REST.as_nanos() as f64 * 100.0;
        println!(
            "{:42} {:8.0} {:8.0} {:8.0} {:9.0} {:9.0} {resident:9} {anonymous:9} {:8} {rest:7.2}",
            target.name,
            median(&target.p50),
            median(&target.p99),
            median(&target.cpu),
            median(&target.alone),
            quantile(&target.alone, 0.99),
            target.bytes
        );
    }
}
