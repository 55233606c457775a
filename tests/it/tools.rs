//! Foreign programs that read what we write. `tests/tools/install` installs them.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so; values are exact")]

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

/// What a program prints, both streams, when it is given `input`; `None` where the program is not installed and CI does not ask
/// for it.
///
/// # Panics
///
/// When it cannot be run for another reason, or when it is not installed and the environment variable CI is `true`.
pub(crate) fn output_of(program: &str, arguments: &[&str], input: &str) -> Option<(bool, String)> {
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "{program} is not installed: tests/tools/install {program}"
            );
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer does not panic").expect("the program reads its input");
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}
