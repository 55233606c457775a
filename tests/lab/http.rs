//! A GET over HTTP/1.1 in a few lines of the standard library.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer within this means that the server hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// The body of a 200 answer; anything else is an error.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("http://{address}{path}: {error}");
    let answer = ask(address, path).map_err(|error| wrong(&error))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| wrong(&"no end of headers"))?;
    if !head.starts_with("HTTP/1.1 200 ") && !head.starts_with("HTTP/1.0 200 ") {
        return Err(wrong(&head));
    }
    Ok(body.to_owned())
}

/// HTTP/1.0, so that the answer ends where the connection does and is not chunked.
fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
