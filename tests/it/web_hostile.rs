//! What can a crowd of bad clients take? The program itself is attacked, in a process of its own so that its memory can be read,
//! while good clients scrape it: one from the address of the crowd, one from another. Each scrape must be answered, and most of them
//! within a second. Most, since this machine builds and tests other things meanwhile, and may let a process wait as long.

#![expect(clippy::expect_used, reason = "the text says which promise is broken")]

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// `highwater demo`, killed at the end.
struct Victim {
    process: Child,
    address: SocketAddr,
    at_rest: u64,
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// What most scrapes take at most.
const SOON: Duration = Duration::from_secs(1);
/// Only a server that hangs, or waits for those who attack it, takes longer.
const HANGS: Duration = Duration::from_secs(30);
/// What the attacks may add to the memory at rest, in KiB: 8 MiB of answers that nobody takes, 272 connections with 16 KiB of header
/// and about 8 KiB of tasks and timers each, 2,048 that wait with less than 1 KiB, and a fifth for what the allocator keeps.
const MORE_MEMORY: u64 = (8_192 + 272 * 24 + 2_048) * 6 / 5;
/// All connections that are served at one time.
const CONNECTIONS: usize = 256;
/// With those that are kept for others while one is closed, and the listening socket and the runtime's own.
const MOST_CONNECTIONS: usize = CONNECTIONS + 16 + 8;

impl Victim {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_highwater"))
            .args(["demo", "--speed=1", "--web.listen-address=127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let url = lines.into_iter().find(|line| line.starts_with("Serving on http")).unwrap();
        let address = url.split('/').nth(2).unwrap().parse().unwrap();
        let mut victim = Self { process, address, at_rest: 0 };
        victim.at_rest = victim.memory();
        victim
    }

    /// Resident memory in KiB, the most there ever was.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// How many connections it has accepted and not closed:
    /// the sockets of the thread that serves, whose files are its own so that they end with it.
    fn connections(&self) -> usize {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap().map(|task| task.unwrap().path());
        let serving =
            tasks.into_iter().find(|task| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm == "web\n"));
        let files = fs::read_dir(serving.expect("a thread that serves").join("fd")).unwrap();
        let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }

    async fn connect(&self) -> TcpStream {
        self.connect_from(CROWDED).await
    }

    async fn connect_from(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        timeout(HANGS, socket.connect(self.address)).await.expect("connects").unwrap()
    }

    /// A good client gets its metrics, and the memory is still within bounds. Whether it got them soon.
    async fn answers(&self, address: &str) -> bool {
        let mut scrape = pin!(async {
            let mut stream = self.connect_from(address).await;
            let mut answer = String::new();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
            stream.read_to_string(&mut answer).await.map(|_| answer)
        });
        let (answer, soon) = match timeout(SOON, &mut scrape).await {
            Ok(answer) => (answer.unwrap(), true),
            Err(_) => (timeout(HANGS, scrape).await.expect("answers").unwrap(), false),
        };
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("highwater_build_info"), "{answer}");
        let memory = self.memory();
        assert!(memory < self.at_rest + MORE_MEMORY, "{} KiB at rest, {memory} KiB now", self.at_rest);
        soon
    }
}

/// Where the attackers are, and where nobody else is.
const CROWDED: &str = "127.0.0.1";
const OTHER: &str = "127.0.0.2";

/// Scrapes while an attack lasts.
#[derive(Default)]
struct Scrapes {
    soon: usize,
    late: usize,
}

impl Scrapes {
    async fn from(&mut self, addresses: &[&str], victim: &Victim) {
        for address in addresses {
            let soon = victim.answers(address).await;
            *if soon { &mut self.soon } else { &mut self.late } += 1;
        }
    }

    fn were_soon(&self) {
        assert!(self.soon > self.late, "{} within a second, {} later", self.soon, self.late);
    }
}

/// Connections that are opened one after another and ask ten times each, and of which nothing is read. A thread of its own, so that
/// the good client does not wait for it.
struct Flood {
    /// How many were opened. None any more when this is dropped.
    opened: watch::Receiver<usize>,
    unread: JoinHandle<VecDeque<TcpStream>>,
}

impl Flood {
    fn begin(address: SocketAddr) -> Self {
        let (sender, opened) = watch::channel(0);
        let unread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(Self::go_on(address, sender))
        });
        Self { opened, unread }
    }

    async fn go_on(address: SocketAddr, opened: watch::Sender<usize>) -> VecDeque<TcpStream> {
        let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(10);
        let mut unread = VecDeque::new();
        let mut ticks = interval(Duration::from_millis(20));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !opened.is_closed() {
            ticks.tick().await;
            for _ in 0..50 {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(requests.as_bytes()).await.unwrap_or(());
                unread.push_back(stream);
            }
            unread.drain(..unread.len().saturating_sub(1_000));
            opened.send_modify(|count| *count += 50);
        }
        unread
    }

    /// Waits until so many more were opened.
    async fn more(&mut self, count: usize) {
        let goal = *self.opened.borrow() + count;
        timeout(HANGS, self.opened.wait_for(|opened| *opened >= goal)).await.expect("the flood goes on").unwrap();
    }

    /// Opens no more. The last thousand, which the client's side holds.
    fn stop(self) -> VecDeque<TcpStream> {
        drop(self.opened);
        self.unread.join().unwrap()
    }
}

/// The test holds both ends of thousands of connections.
fn allow_many_files() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(4_096)), hard).unwrap();
}

#[tokio::test]
async fn a_thousand_clients_that_send_a_byte_a_second_do_not_keep_others_out() {
    allow_many_files();
    let victim = Victim::start(&[]);
    let mut slow = Vec::new();
    for _ in 0..1_000 {
        let mut stream = victim.connect().await;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ").await.unwrap_or(());
        slow.push(stream);
    }
    let mut scrapes = Scrapes::default();
    let mut each_second = interval(Duration::from_secs(1));
    for _ in 0..4 {
        each_second.tick().await;
        for stream in &mut slow {
            // Who was sent away comes again.
            if stream.write_all(b"x").await.is_err() {
                *stream = victim.connect().await;
                stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ").await.unwrap_or(());
            }
        }
        assert!(victim.connections() > CONNECTIONS / 2, "{} slow ones are held", victim.connections());
        scrapes.from(&[CROWDED, OTHER], &victim).await;
    }
    scrapes.were_soon();
}

#[tokio::test]
async fn ten_thousand_requests_whose_answers_nobody_reads_do_not_keep_others_out() {
    allow_many_files();
    let victim = Victim::start(&[]);
    let mut flood = Flood::begin(victim.address);
    // Of ten requests each.
    flood.more(1_000).await;
    let mut scrapes = Scrapes::default();
    for _ in 0..10 {
        assert!(victim.connections() > CONNECTIONS / 2, "{} unread ones are held", victim.connections());
        scrapes.from(&[OTHER], &victim).await;
        flood.more(100).await;
    }
    // Who comes from the address of a flood that goes on may be taken for a part of it; not for one of those that are there.
    let unread = flood.stop();
    for _ in 0..5 {
        scrapes.from(&[CROWDED, OTHER], &victim).await;
    }
    assert_eq!(unread.len(), 1_000);
    scrapes.were_soon();
}

#[tokio::test]
async fn clients_that_ask_without_end_and_never_read_do_not_keep_others_out() {
    let victim = Victim::start(&[]);
    let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    let mut greedy = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let mut stream = victim.connect().await;
        let requests = requests.clone();
        // Ends when the server closes, which it does when nothing is taken or another needs the place.
        greedy.spawn(async move { while stream.write_all(requests.as_bytes()).await.is_ok() {} });
    }
    let mut scrapes = Scrapes::default();
    for _ in 0..5 {
        scrapes.from(&[CROWDED, OTHER], &victim).await;
    }
    scrapes.were_soon();
    greedy.shutdown().await;
}

#[tokio::test]
async fn handshakes_that_never_end_do_not_keep_others_out() {
    let folder = TempDir::new().unwrap();
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.path().join("server.crt"), certificate.cert.pem()).unwrap();
    fs::write(folder.path().join("server.key"), certificate.signing_key.serialize_pem()).unwrap();
    let config = folder.path().join("web.yml");
    fs::write(&config, "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n").unwrap();
    let victim = Victim::start(&["--web.config.file", config.to_str().unwrap()]);
    let mut half = Vec::new();
    for _ in 0..600 {
        let mut stream = victim.connect().await;
        stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap_or(());
        half.push(stream);
    }
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).unwrap();
    let client = tokio_rustls::rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
    let scrape = async |address| {
        let stream = victim.connect_from(address).await;
        let shaken = connector.connect("localhost".try_into().unwrap(), stream);
        let mut stream = timeout(HANGS, shaken).await.expect("shakes hands").unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // A server that ends without a closing alert still has answered.
        let ended = timeout(HANGS, stream.read_to_end(&mut answer)).await.expect("answers");
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "to {address}: {ended:?}");
    };
    scrape(OTHER).await;
    // Who comes from the address of the crowd while it still waits for slots may be taken for a part of it.
    let served = async {
        while victim.connections() > MOST_CONNECTIONS {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(HANGS, served).await.expect("the crowd is served");
    scrape(CROWDED).await;
    assert!(victim.memory() < victim.at_rest + MORE_MEMORY);
}
