//! What can a crowd of bad clients take? The program itself is attacked, in a process of its own so that its memory can be read,
//! while a good client scrapes it. "Answers" means within a time that only a server that hangs, or waits for others, exceeds.

#![expect(clippy::expect_used, reason = "the text says which promise is broken")]

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

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

/// The acceptance is one second on a machine of its own; this one builds and tests other things meanwhile.
const ANSWER: Duration = Duration::from_secs(10);
/// What the attacks may add to the memory at rest: the limit of 8 MiB for answers, 256 connections, and what the allocator keeps.
const MORE_MEMORY: u64 = 40 << 10;

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

    async fn connect(&self) -> TcpStream {
        timeout(ANSWER, TcpStream::connect(self.address)).await.expect("connects").unwrap()
    }

    /// A good client gets its metrics, and the memory is still within bounds.
    async fn answers(&self) {
        let mut stream = self.connect().await;
        let mut answer = String::new();
        let scrape = async {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
            stream.read_to_string(&mut answer).await
        };
        timeout(ANSWER, scrape).await.expect("answers").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("highwater_build_info"), "{answer}");
        let memory = self.memory();
        assert!(memory < self.at_rest + MORE_MEMORY, "{} KiB at rest, {memory} KiB now", self.at_rest);
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
        victim.answers().await;
    }
}

#[tokio::test]
async fn ten_thousand_requests_whose_answers_nobody_reads_do_not_keep_others_out() {
    allow_many_files();
    let victim = Victim::start(&[]);
    let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(10);
    let mut unread = Vec::new();
    for number in 0..1_000 {
        let mut stream = victim.connect().await;
        stream.write_all(requests.as_bytes()).await.unwrap_or(());
        unread.push(stream);
        if number % 100 == 99 {
            victim.answers().await;
        }
    }
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
    for _ in 0..5 {
        victim.answers().await;
    }
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
    let stream = victim.connect().await;
    let shaken = connector.connect("localhost".try_into().unwrap(), stream);
    let mut stream = timeout(ANSWER, shaken).await.expect("shakes hands").unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A server that ends without a closing alert still has answered.
    timeout(ANSWER, stream.read_to_end(&mut answer)).await.expect("answers").unwrap_or_default();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    assert!(victim.memory() < victim.at_rest + MORE_MEMORY);
}
