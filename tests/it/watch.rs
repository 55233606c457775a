//! What does `check --watch` leave on a terminal and in a file, and what has a colour?

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use crate::demo::Demo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// Windows with which whatever is foreseen is a warning.
const WARNING: [&str; 4] = ["--critical", "1s", "--warning", "1000d"];

const TAKE: &str = "\u{1b}[?1049h";
const GIVE_BACK: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";

/// Reads until the text is there so many times, or the end.
fn read_until(stream: &mut impl Read, text: &str, times: usize) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0; 4_096];
    while String::from_utf8_lossy(&seen).matches(text).count() < times {
        match stream.read(&mut buffer) {
            // The end of a terminal is an error.
            Ok(0) | Err(_) => break,
            Ok(length) => seen.extend_from_slice(&buffer[..length]),
        }
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// A check on a terminal of its own, interrupted after its second picture. `script` makes the terminal.
fn on_a_terminal(url: &str, environment: &[(&str, &str)]) -> String {
    let windows = WARNING.join(" ");
    let command = format!("{} check --agent {url} --watch=0.5 {windows}", env!("CARGO_BIN_EXE_highwater"));
    let mut child = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR")
        .env_remove("CLICOLOR_FORCE")
        .env("TERM", "xterm")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script, of util-linux");
    let (mut keys, mut screen) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let mut seen = read_until(&mut screen, "sampled", 2);
    keys.write_all(b"\x03").expect("Ctrl-C is typed");
    seen += &read_until(&mut screen, "never there", 1);
    child.wait().expect("it ends");
    seen
}

#[test]
fn a_terminal_is_left_as_it_was_found() {
    let demo = Demo::start(&["--speed", "1"]);
    let seen = on_a_terminal(&demo.url, &[]);
    assert!(seen.contains(TAKE) && seen.trim_end().ends_with(GIVE_BACK), "{seen:?}");
    assert!(seen.contains("\u{1b}[HEvery 500ms: highwater check"), "{seen:?}");
    assert!(seen.contains("\u{1b}[33mWARNING\u{1b}[0m"), "{seen:?}");

    let seen = on_a_terminal(&demo.url, &[("NO_COLOR", "1")]);
    assert!(seen.contains("WARNING") && !seen.contains("[33m") && !seen.contains("[1m"), "{seen:?}");
    assert!(seen.contains(TAKE) && seen.trim_end().ends_with(GIVE_BACK), "{seen:?}");
}

#[test]
fn elsewhere_tables_follow_each_other_without_an_escape() {
    let demo = Demo::start(&["--speed", "1"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["check", "--agent", &demo.url, "--watch=0.5"])
        .args(WARNING)
        .env_remove("CLICOLOR_FORCE")
        .stdout(Stdio::piped())
        .spawn()
        .expect("highwater runs");
    let mut out = child.stdout.take().expect("piped");
    let mut seen = read_until(&mut out, "sampled", 2);
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), Signal::SIGINT).expect("it is ours");
    seen += &read_until(&mut out, "never there", 1);
    assert_eq!(child.wait().expect("it ends").code(), Some(1), "the last verdict");
    assert!(!seen.contains('\u{1b}'), "{seen:?}");
    assert!(seen.contains("WARNING\n\nLAYER"), "{seen:?}");
}

#[test]
fn colours_can_be_forced_into_a_pipe() {
    let demo = Demo::start(&["--speed", "1"]);
    let output = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["check", "--agent", &demo.url])
        .args(WARNING)
        .env_remove("NO_COLOR")
        .env("CLICOLOR_FORCE", "1")
        .output()
        .expect("highwater runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("\u{1b}[33mWARNING"), "{output:?}");
}

#[test]
fn a_pause_that_is_none_is_refused() {
    for pause in ["0", "0.1", "2h", "soon", "-1"] {
        let argument = format!("--watch={pause}");
        let output =
            Command::new(env!("CARGO_BIN_EXE_highwater")).args(["check", &argument]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(4), "{pause}");
    }
}
