//! Does the agent itself keep its state from one start to the next, and say once what is wrong with it?

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::yield_now;
use tempfile::TempDir;

fn start(storage: &Path, listen: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["run", "--sample.interval", "100ms", "--usage.interval", "0s", "--web.listen-address", listen])
        .arg("--storage.path")
        .arg(storage)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Asks it to end, and waits until it has done so in order. What it said on standard error.
fn end(mut agent: Child) -> String {
    kill(Pid::from_raw(i32::try_from(agent.id()).unwrap()), Signal::SIGTERM).unwrap();
    let mut text = String::new();
    agent.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(0), "{text}");
    text
}

/// What one life of the agent, from its start to SIGTERM, says on standard error.
fn life(storage: &Path) -> String {
    let mut agent = start(storage, "127.0.0.1:0");
    let lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    let url = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("Serving on ").map(str::to_owned)).unwrap();
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    end(agent)
}

fn warnings(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.contains("WARN") && line.contains("state")).collect()
}

/// How many pieces of a kind are in the state.
fn count(path: &Path, kind: &str) -> usize {
    let kind = format!("{{\"{kind}\":");
    fs::read_to_string(path).unwrap().lines().filter(|line| line.starts_with(&kind)).count()
}

#[test]
fn what_one_agent_has_learnt_the_next_one_takes_up() {
    let directory = TempDir::new().unwrap();
    let storage = directory.path().join("highwater");
    let state = storage.join("state");
    assert_eq!(warnings(&life(&storage)), [""; 0]);
    assert!(count(&state, "filesystem") >= 1, "the filesystem of this machine");
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o600);
    let samples = |text: &str| text.matches("{\"at\":").count();
    let first = samples(&fs::read_to_string(&state).unwrap());
    assert_eq!(warnings(&life(&storage)), [""; 0]);
    let second = samples(&fs::read_to_string(&state).unwrap());
    assert!(second > first, "the points of the first life are there still: {first} {second}");
    assert_eq!(fs::read_dir(&storage).unwrap().count(), 1);
}

#[test]
fn a_foreign_file_and_a_directory_that_cannot_be_cost_a_warning_each() {
    let directory = TempDir::new().unwrap();
    let state = directory.path().join("state");
    fs::write(&state, "somebody else's").unwrap();
    let text = life(directory.path());
    assert_eq!(warnings(&text).len(), 1, "{text}");
    assert!(warnings(&text)[0].contains("it is not a state of highwater"), "{text}");
    assert_eq!(fs::read_to_string(directory.path().join("state.rejected")).unwrap(), "somebody else's");
    assert!(count(&state, "filesystem") >= 1);

    let text = life(&state);
    assert_eq!(warnings(&text).len(), 1, "{text}");
    assert!(count(&state, "filesystem") >= 1, "left alone");
}

#[test]
fn an_agent_that_is_ended_before_it_says_where_it_serves_keeps_its_state() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("socket");
    let mut agent = start(directory.path(), &format!("unix://{}", socket.display()));
    // Before anything is announced, addresses are bound.
    while UnixStream::connect(&socket).is_err() {
        assert!(agent.try_wait().unwrap().is_none(), "it has ended");
        yield_now();
    }
    end(agent);
    assert!(count(&directory.path().join("state"), "filesystem") >= 1);
}
