//! What is left for a normal client while bad ones attack? highwater and node_exporter in turn, in one run, a new process for each attack
//! (`attacks.rs`). Meanwhile two normal clients scrape ten times a second, on a new connection each time and whether or not the last
//! scrape was answered: one from the attackers' address, one from another.
//! Budget: an answer within a second, and memory that stays bounded.
//!
//! A scrape is refused when the answer has no metrics, and lost when it is closed unanswered or takes ten seconds, as long as
//! Prometheus waits. Times are of the others, by nearest rank. Memory is the most that the process had before and with the attack;
//! what the kernel holds for sockets is not in it.
//!
//! All is on one machine, and the attackers take its CPU too: the machine's load is printed, and is partly theirs.
//! `cargo bench --bench hostile -- burst flood` runs what is named so.

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

mod attacks;
mod servers;

use attacks::{Attack, Tally};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use servers::{Server, load_average, quantile};
use std::fs;
use std::io::{ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

/// Scrapes of each normal client during one attack, and the time between two.
const SCRAPES: usize = 200;
const EVERY: Duration = Duration::from_millis(100);
/// An attack goes on for so long before the first scrape.
const LEAD: Duration = Duration::from_secs(1);
/// Prometheus' scrape_timeout.
const GIVE_UP: Duration = Duration::from_secs(10);
const BUDGET_MS: f64 = 1e3;
/// Requests in flight, where enough files may be open.
const CROWD: usize = 10_000;
/// Files that are open beside those of the crowd.
const OTHER_FILES: u64 = 1_000;

/// A client that does what it should.
#[derive(Clone, Copy)]
struct Normal {
    name: &'static str,
    from: IpAddr,
    /// User and password, where they are wanted.
    login: Option<&'static str>,
}

const NEAR: Normal = Normal { name: "same", from: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), login: None };
const FAR: Normal = Normal { name: "other", from: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3)), login: None };

/// What a scrape came to.
enum Outcome {
    /// After so many milliseconds.
    Answered(f64),
    /// With an answer that has no metrics, such as 503.
    Refused,
    /// Closed without an answer, or none within `GIVE_UP`.
    Lost,
}

impl Normal {
    /// Whether there were metrics in the answer.
    async fn scrape(self, to: SocketAddr) -> Result<bool> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.from, 0))?;
        let mut stream = socket.connect(to).await?;
        let login = self.login.map(|login| format!("Authorization: Basic {}\r\n", STANDARD.encode(login)));
        let login = login.unwrap_or_default();
        let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{login}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        if answer.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("_build_info{"))
    }

    async fn scrapes(self, to: SocketAddr) -> Vec<Outcome> {
        let mut ticks = interval(EVERY);
        let mut scrapes = JoinSet::new();
        for _ in 0..SCRAPES {
            ticks.tick().await;
            scrapes.spawn(async move {
                let begin = Instant::now();
                match timeout(GIVE_UP, self.scrape(to)).await {
                    Ok(Ok(true)) => Outcome::Answered(begin.elapsed().as_secs_f64() * 1e3),
                    Ok(Ok(false)) => Outcome::Refused,
                    Ok(Err(_)) | Err(_) => Outcome::Lost,
                }
            });
        }
        scrapes.join_all().await
    }
}

/// The scrapes of both clients during an attack.
async fn scrape_both(clients: [Normal; 2], to: SocketAddr) -> [Vec<Outcome>; 2] {
    sleep(LEAD).await;
    let [near, far] = clients;
    let (near, far) = tokio::join!(near.scrapes(to), async {
        sleep(EVERY / 2).await;
        far.scrapes(to).await
    });
    [near, far]
}

/// What an attack took from the server.
struct Taken {
    /// KiB before the attack, and at most.
    memory: (u64, u64),
    /// Of one core.
    cpu_percent: f64,
}

fn print_row(server: &str, client: Normal, scrapes: &[Outcome], taken: &Taken) {
    let answered: Vec<f64> =
        scrapes.iter().filter_map(|scrape| if let Outcome::Answered(ms) = scrape { Some(*ms) } else { None }).collect();
    let lost = scrapes.iter().filter(|scrape| matches!(scrape, Outcome::Lost)).count();
    let soon = answered.iter().filter(|ms| **ms <= BUDGET_MS).count();
    let time = |part| if answered.is_empty() { "-".to_owned() } else { format!("{:.1}", quantile(&answered, part)) };
    println!(
        "  {server:14} {:6} {:>8} {:>7} {lost:>5} {:>8} {:>8} {:>8} {:>12} {:>9} {:>9} {:>6.0}",
        client.name,
        answered.len(),
        scrapes.len() - answered.len() - lost,
        time(0.5),
        time(0.99),
        time(1.0),
        scrapes.len() - soon,
        taken.memory.0,
        taken.memory.1,
        taken.cpu_percent,
    );
}

fn print_attack(server: &str, tally: &Tally) {
    let asked = tally.asked.lock().unwrap();
    print!("  {server:14} attacked on {} connections", tally.opened.load(Ordering::Relaxed));
    if !asked.is_empty() {
        let (half, most) = (quantile(&asked, 0.5), quantile(&asked, 0.99));
        print!("; of each wave half had asked within {half:.0} ms, 99 % within {most:.0} ms");
    }
    println!();
}

/// Attacks a server that was just started, and prints what came of it.
fn measure(attack: Attack, name: &str, server: &Server, clients: [Normal; 2], crowd: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // What the first scrape takes is no work of the attackers. Without a login, so that no password is known when they begin.
    let served = runtime.block_on(Normal { login: None, ..FAR }.scrape(server.address)).unwrap();
    assert_eq!(served, clients[0].login.is_none(), "who has no login is served where none is wanted");
    let rest = server.memory("VmHWM");
    let (begin, cpu) = (Instant::now(), server.cpu_time());
    let running = attack.begin(NEAR.from, server.address, crowd);
    let results = runtime.block_on(scrape_both(clients, server.address));
    let cpu_percent = server.cpu_time().saturating_sub(cpu) as f64 / begin.elapsed().as_nanos() as f64 * 100.0;
    let taken = Taken { memory: (rest, server.memory("VmHWM")), cpu_percent };
    print_attack(name, &running.stop());
    for (client, scrapes) in clients.into_iter().zip(&results) {
        print_row(name, client, scrapes, &taken);
    }
}

/// A web configuration with a user for each of the normal clients.
fn write_users(path: &Path) -> [Normal; 2] {
    let hash = |password: &str| bcrypt::hash(password, 10).unwrap();
    let users = format!("basic_auth_users:\n  near: {}\n  far: {}\n", hash("blue"), hash("green"));
    fs::write(path, users).unwrap();
    [Normal { login: Some("near:blue"), ..NEAR }, Normal { login: Some("far:green"), ..FAR }]
}

/// Allows as many open files as can be had, here and in the servers. How large a crowd may be.
fn allow_files() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let crowd = CROWD.min(usize::try_from(hard.saturating_sub(OTHER_FILES)).unwrap());
    println!("At most {hard} open files for each process.");
    if crowd < CROWD {
        println!("So the crowds are of {crowd}, not of {CROWD}, and other attacks may be weaker too.");
    }
    crowd
}

/// Whether one of the arguments is a part of this title, or there are none.
fn wanted(title: &str) -> bool {
    let mut filters = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).peekable();
    filters.peek().is_none() || filters.any(|filter| title.contains(&filter))
}

fn main() {
    // `cargo test --benches` passes arguments of its own harness.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let crowd = allow_files();
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("web.yml");
    let with_login = write_users(&config);
    let config = format!("--web.config.file={}", config.display());

    println!("Times in ms, memory in KiB. {SCRAPES} scrapes by each client, one every {EVERY:?}.");
    println!(
        "  {:14} {:6} {:>8} {:>7} {:>5} {:>8} {:>8} {:>8} {:>12} {:>9} {:>9} {:>6}",
        "", "from", "answered", "refused", "lost", "p50", "p99", "max", "not in 1 s", "RSS rest", "RSS most", "CPU %"
    );
    for what in Attack::ALL.iter().copied().filter(|what| wanted(&what.title(crowd))) {
        let guarded = what == Attack::Guesses;
        let clients = if guarded { with_login } else { [NEAR, FAR] };
        let options: &[&str] = if guarded { &[&config] } else { &[] };
        println!("{}. Load average {}.", what.title(crowd), load_average());
        let highwater = Server::highwater(&[&["demo", "--speed=1"], options].concat());
        measure(what, "highwater", &highwater, clients, crowd);
        drop(highwater);
        if let Some(peer) = Server::node_exporter(options) {
            measure(what, "node_exporter", &peer, clients, crowd);
        }
    }
}
