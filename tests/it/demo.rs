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

    /// The body of the answer to a GET.
    pub(crate) fn get(&self, path: &str) -> String {
        self.ask(path, "").1
    }

    /// Head and body of the answer to a GET with these headers.
    pub(crate) fn ask(&self, path: &str, headers: &str) -> (String, String) {
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        (head.to_owned(), body.to_owned())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("the demonstration ends");
    }
}
