//! A running `highwater demo` on a port of its own, which ends with the test.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

pub(crate) struct Demo {
    child: Child,
    /// Without a slash at the end.
    pub(crate) url: String,
}

impl Demo {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_highwater"))
            .args(["demo", "--web.listen-address", "127.0.0.1:0", "--log.level", "error"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demonstration starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let line = stdout.lines().map_while(Result::ok).find(|line| line.starts_with("Serving on "));
        let line = line.expect("it says where it serves");
        let url = line.trim_start_matches("Serving on ").trim_end_matches('/').to_owned();
        Self { child, url }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The body of the answer to a GET.
    pub(crate) fn get(&self, path: &str) -> String {
        let answer = ask(self.address(), path, "").expect("an answer");
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        String::from_utf8(answer[body..].to_vec()).expect("text")
    }
}

/// The whole answer to a GET with these headers, head included.
///
/// # Errors
///
/// When nobody listens, or the connection breaks.
pub(crate) fn ask(address: &str, path: &str, headers: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("the demonstration ends");
    }
}
