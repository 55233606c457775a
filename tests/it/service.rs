//! Does it work under systemd? Sockets that are handed over, readiness and watchdog, the end; played without systemd.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const HIGHWATER: &str = env!("CARGO_BIN_EXE_highwater");
/// Longer than any start; only a message that never comes takes so long.
const NEVER: Duration = Duration::from_mins(1);

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Where it says that it serves.
    fn urls(&mut self) -> String {
        let mut lines = BufReader::new(self.0.stdout.take().unwrap()).lines().map(Result::unwrap);
        lines.find_map(|line| line.strip_prefix("Serving on ").map(str::to_owned)).unwrap()
    }
}

fn healthy(mut stream: impl Read + Write) {
    stream.write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK"), "{answer}");
}

/// As systemd does it: the socket is descriptor 3, and the environment names the process it is for.
fn activated(listener: OwnedFd) -> Running {
    let script = "exec 3<&0; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" demo --web.systemd-socket";
    Running::start(Command::new("sh").args(["-c", script, HIGHWATER]).stdin(listener))
}

#[test]
fn a_tcp_socket_that_is_handed_over_is_served() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut running = activated(listener.into());
    assert_eq!(running.urls(), format!("http://{address}/"));
    healthy(TcpStream::connect(address).unwrap());
}

#[test]
fn a_unix_socket_that_is_handed_over_is_served() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.sock");
    let mut running = activated(UnixListener::bind(&path).unwrap().into());
    assert_eq!(running.urls(), format!("unix://{}", path.display()));
    healthy(UnixStream::connect(&path).unwrap());
}

#[test]
fn without_a_socket_to_take_it_says_what_to_start() {
    let output = Command::new(HIGHWATER).args(["demo", "--web.systemd-socket"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("none were handed over; start highwater.socket"), "{message}");
}

#[test]
fn several_addresses_of_both_kinds_are_served() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.sock");
    let unix = format!("--web.listen-address=unix://{}", path.display());
    let arguments = ["demo", "--web.listen-address=127.0.0.1:0", &unix];
    let mut running = Running::start(Command::new(HIGHWATER).args(arguments));
    let urls = running.urls();
    let (tcp, unix) = urls.split_once(" and ").unwrap();
    assert_eq!(unix, format!("unix://{}", path.display()));
    healthy(TcpStream::connect(tcp.trim_start_matches("http://").trim_end_matches('/')).unwrap());
    healthy(UnixStream::connect(&path).unwrap());
}

#[test]
fn only_the_owner_may_connect_to_a_unix_socket_whatever_the_umask() {
    let folder = TempDir::new().unwrap();
    for umask in ["0", "077"] {
        let path = folder.path().join(umask);
        let run = format!("run --usage.interval=0s --web.listen-address=unix://{}", path.display());
        let script = format!("umask {umask}; exec \"$0\" {run}");
        let mut running = Running::start(Command::new("sh").args(["-c", &script, HIGHWATER]).stderr(Stdio::null()));
        running.urls();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{umask}");
        healthy(UnixStream::connect(&path).unwrap());
    }
}

/// The value of a metric without labels, or of the first series.
fn metric(address: &str, name: &str) -> Option<f64> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let mut lines = answer.lines().filter(|line| line.starts_with(name));
    lines.next()?.rsplit(' ').next()?.parse().ok()
}

#[test]
fn with_few_files_a_crowd_of_connections_leaves_the_sampler_its_own() {
    let script =
        "ulimit -n 64; exec \"$0\" run --sample.interval=100ms --usage.interval=0s --web.listen-address=127.0.0.1:0";
    let mut running = Running::start(Command::new("sh").args(["-c", script, HIGHWATER]).stderr(Stdio::null()));
    let urls = running.urls();
    let address = urls.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let crowd: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let sampled = "highwater_filesystem_last_sample_timestamp_seconds";
    let mut times = std::collections::BTreeSet::new();
    // Three samples while the crowd is there; a sampler without files would never have a second one.
    while times.len() < 3 {
        // The crowd may be in the way of one of ours.
        times.extend(metric(&address, sampled).map(f64::to_bits));
    }
    drop(crowd);
}

/// The names of the threads of a process that have a file open.
fn threads_with(pid: u32, file: &str) -> Vec<String> {
    let has_it = |task: &std::path::Path| {
        let mut files = std::fs::read_dir(task.join("fd")).unwrap();
        files.any(|open| open.is_ok_and(|open| std::fs::read_link(open.path()).is_ok_and(|open| *open == *file)))
    };
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap().path());
    tasks.filter(|task| has_it(task)).map(|task| std::fs::read_to_string(task.join("comm")).unwrap()).collect()
}

#[test]
fn no_thread_that_may_hang_has_the_sockets_of_the_server_or_the_lock_of_the_state() {
    let folder = TempDir::new().unwrap();
    let storage = format!("--storage.path={}", folder.path().display());
    let arguments = ["run", "--web.listen-address=127.0.0.1:0", &storage];
    let mut running = Running::start(Command::new(HIGHWATER).args(arguments).stderr(Stdio::null()));
    let urls = running.urls();
    let port: u16 = urls.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
    healthy(TcpStream::connect(("127.0.0.1", port)).unwrap());
    // sl, local address, remote address, state (0A: listening), five more, inode.
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut listening = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = listening.find(|fields| fields[1] == format!("0100007F:{port:04X}") && fields[3] == "0A").unwrap();
    let listener = format!("socket:[{}]", line[9]);
    assert_eq!(threads_with(running.0.id(), &listener), ["web\n"]);
    assert_eq!(threads_with(running.0.id(), folder.path().to_str().unwrap()), ["storage\n"]);
}

#[test]
fn systemd_hears_that_it_is_ready_alive_and_ending() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let notify = UnixDatagram::bind(&path).unwrap();
    notify.set_read_timeout(Some(NEVER)).unwrap();
    let mut command = Command::new(HIGHWATER);
    command.args(["demo", "--web.listen-address=127.0.0.1:0"]).env("NOTIFY_SOCKET", &path);
    let running = Running::start(command.env("WATCHDOG_USEC", "100000").stderr(Stdio::null()));
    let next = || {
        let mut message = [0; 64];
        let length = notify.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    assert_eq!(next(), "READY=1\n");
    assert_eq!((next(), next()), ("WATCHDOG=1\n".to_owned(), "WATCHDOG=1\n".to_owned()));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(running.0.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let mut message = next();
    while message == "WATCHDOG=1\n" {
        message = next();
    }
    assert_eq!(message, "STOPPING=1\n");
}

/// CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE, CAP_DAC_OVERRIDE, as bits of CapEff.
const READ: u64 = 1 << 2 | 1 << 19;
const OVERRIDE: u64 = 1 << 1;

/// The capabilities of each thread of a process, and whether it can be given new ones.
fn rights(pid: u32) -> Vec<(u64, bool)> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|thread| thread.unwrap().path());
    let rights = threads.filter_map(|thread| {
        let status = std::fs::read_to_string(thread.join("status")).ok()?;
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap();
        let sets = ["CapEff:", "CapPrm:", "CapInh:"].map(|name| u64::from_str_radix(field(name), 16).unwrap());
        Some((sets.into_iter().fold(0, |all, set| all | set), field("NoNewPrivs:") == "0"))
    });
    rights.collect()
}

fn own_rights() -> u64 {
    rights(std::process::id())[0].0
}

#[test]
fn the_agent_keeps_the_rights_to_read_and_no_others_on_every_thread() {
    let folder = TempDir::new().unwrap();
    let (storage, recording) = (folder.path().join("state"), folder.path().join("node.jsonl"));
    let mut running = Running::start(Command::new(HIGHWATER).args([
        "run",
        "--web.listen-address=127.0.0.1:0",
        &format!("--storage.path={}", storage.display()),
        &format!("--recording={}", recording.display()),
    ]));
    let url = running.urls();
    // It answers when all its threads have begun.
    healthy(TcpStream::connect(url.trim_start_matches("http://").trim_end_matches('/')).unwrap());
    let found = rights(running.0.id());
    assert!(found.len() > 3, "it has threads of many kinds: {found:?}");
    // The thread that clients talk to reads certificates and no processes.
    assert_eq!(found.iter().filter(|thread| **thread == (own_rights() & 1 << 2, false)).count(), 1, "{found:x?}");
    let others = found.iter().filter(|thread| **thread == (own_rights() & READ, false));
    assert_eq!(others.count(), found.len() - 1, "{found:x?}");
    assert!(recording.exists() && storage.exists());

    let mut running = Running::start(Command::new(HIGHWATER).args(["demo", "--web.listen-address=127.0.0.1:0"]));
    running.urls();
    let found = rights(running.0.id());
    assert!(found.iter().all(|thread| *thread == (own_rights() & 1 << 2, false)), "{found:x?}");
}

#[test]
fn in_a_folder_of_another_user_root_still_writes() {
    let folder = TempDir::new().unwrap();
    let recording = folder.path().join("node.jsonl");
    // Only root can give a folder away; without it there is nothing to try.
    if std::os::unix::fs::chown(folder.path(), Some(12_345), None).is_err() {
        return;
    }
    let argument = format!("--recording={}", recording.display());
    let mut running =
        Running::start(Command::new(HIGHWATER).args(["run", "--web.listen-address=127.0.0.1:0", &argument]));
    running.urls();
    let found = rights(running.0.id());
    let others = found.iter().filter(|thread| **thread == (own_rights() & (READ | OVERRIDE), false));
    assert_eq!(others.count(), found.len() - 1, "{found:x?}");
    assert!(recording.exists());
}
