//! How is one question put to an agent? One GET on a connection of its own, within limits; the reply as text made harmless.

use super::address::AgentAddress;
use crate::untrusted::printable;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// How long an agent is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::command) struct Patience {
    /// Until the connection is there.
    pub(in crate::command) connect: Duration,
    /// For everything.
    pub(in crate::command) whole: Duration,
}

impl Patience {
    /// For an agent that was asked for by name.
    pub(in crate::command) const PATIENT: Self =
        Self { connect: Duration::from_secs(5), whole: Duration::from_secs(15) };
    /// For one that may be there: it answers from memory, on this machine.
    pub(in crate::command) const BRIEF: Self =
        Self { connect: Duration::from_millis(250), whole: Duration::from_secs(2) };
}

/// 5,000 images with their verdicts take about 3 MiB in `explain`; nothing honest is larger than this.
const MOST_BYTES: usize = 32 << 20;
/// The longest text that is taken over; names have at most 253 characters, messages list them.
const MOST_CHARS: usize = 4_096;

/// Why an agent did not answer.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// Nobody is there.
    #[error("cannot reach the agent at {address}")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("the agent at {address} has not answered within {}s", within.as_secs_f64())]
    TimedOut {
        /// Where.
        address: String,
        /// The limit.
        within: Duration,
    },
    /// The connection broke, or what is there does not speak HTTP.
    #[error("the connection to the agent at {address} failed")]
    Broken {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// It refused.
    #[error("the agent at {address} answers {status}{}{message}", if message.is_empty() { "" } else { ": " })]
    Refused {
        /// Where.
        address: String,
        /// The status.
        status: StatusCode,
        /// What it says of it; may be empty.
        message: String,
    },
    /// The question was wrong, for example after a layer that is not there.
    #[error("the agent at {address} says: {message}")]
    Question {
        /// Where.
        address: String,
        /// What is wrong.
        message: String,
    },
    /// It says more than any agent does.
    #[error("the agent at {address} answers with more than {} MiB", MOST_BYTES >> 20)]
    TooLarge {
        /// Where.
        address: String,
    },
    /// It is no agent, or one of another release.
    #[error("what the agent at {address} answers is not understood{}", hint.as_deref().unwrap_or_default())]
    Malformed {
        /// Where.
        address: String,
        /// What may be the reason.
        hint: Option<String>,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
}

/// The reply to `GET path`, where `path` may carry a query.
///
/// # Errors
/// [`RemoteError`], which names the agent.
pub(in crate::command) async fn get<T: DeserializeOwned>(
    agent: &AgentAddress,
    path: &str,
    schema_version: u32,
    patience: Patience,
) -> Result<T, RemoteError> {
    let address = || agent.to_string();
    let late = |within| RemoteError::TimedOut { address: address(), within };
    let exchange = async {
        let connect = tokio::time::timeout(patience.connect, connect(agent)).await;
        let stream = connect
            .map_err(|_| late(patience.connect))?
            .map_err(|source| RemoteError::Connect { address: address(), source })?;
        exchange(agent, stream, path).await
    };
    let body = tokio::time::timeout(patience.whole, exchange).await.map_err(|_| late(patience.whole))??;
    let malformed = |hint, source| RemoteError::Malformed { address: address(), hint, source };
    let mut value: Value = serde_json::from_slice(&body).map_err(|source| malformed(None, source))?;
    if !value.is_object() {
        return Err(malformed(None, serde::de::Error::custom("it is no object")));
    }
    harmless(&mut value);
    let spoken = Version::deserialize(&value).map_err(|source| malformed(None, source))?.schema_version;
    let hint = (spoken != schema_version)
        .then(|| format!(": it speaks version {spoken} of the schema, and this highwater {schema_version}"));
    serde_json::from_value(value).map_err(|source| malformed(hint, source))
}

#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}

#[derive(Deserialize)]
struct Message {
    error: String,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn connect(agent: &AgentAddress) -> io::Result<Box<dyn Stream>> {
    Ok(match agent {
        AgentAddress::Http { authority, .. } => Box::new(TcpStream::connect(authority.as_str()).await?),
        AgentAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}

async fn exchange(agent: &AgentAddress, stream: Box<dyn Stream>, path: &str) -> Result<Vec<u8>, RemoteError> {
    let broken = |source| RemoteError::Broken { address: agent.to_string(), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Its error also reaches the call that is in flight.
    let driver = tokio::spawn(async move { drop(connection.await) });
    let (host, prefix) = match agent {
        AgentAddress::Http { authority, prefix } => (authority.as_str(), prefix.as_str()),
        AgentAddress::Unix(_) => ("localhost", ""),
    };
    let request = Request::builder()
        .uri(format!("{prefix}{path}"))
        .header(header::HOST, host)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("highwater/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new());
    // Host and paths were parsed as parts of a URL before.
    let Ok(request) = request else { return Ok(Vec::new()) };
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let body = read(response).await.map_err(broken)?;
    driver.abort();
    let body = body.ok_or_else(|| RemoteError::TooLarge { address: agent.to_string() })?;
    if status != StatusCode::OK {
        let said = serde_json::from_slice::<Message>(&body).map(|message| message.error).unwrap_or_default();
        let (address, message) = (agent.to_string(), printable(&said, MOST_CHARS));
        let message = match (message.is_empty(), status) {
            (false, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) => {
                return Err(RemoteError::Question { address, message });
            }
            (true, StatusCode::NOT_FOUND) => "it is no highwater, or one too old for this".to_owned(),
            (true, StatusCode::UNAUTHORIZED) => "it wants a user and a password, which cannot be given here".to_owned(),
            _ => message,
        };
        return Err(RemoteError::Refused { address, status, message });
    }
    Ok(body)
}

/// The body, if it is not too large.
async fn read(response: Response<Incoming>) -> Result<Option<Vec<u8>>, hyper::Error> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if data.len() > MOST_BYTES - bytes.len() {
            return Ok(None);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Some(bytes))
}

/// Replaces what could steer a terminal in every text. The parser has limited the depth.
fn harmless(value: &mut Value) {
    match value {
        Value::String(text) => *text = printable(text, MOST_CHARS),
        Value::Array(items) => items.iter_mut().for_each(harmless),
        Value::Object(map) => {
            let pairs = std::mem::take(map).into_iter();
            *map = pairs
                .map(|(name, mut value)| {
                    harmless(&mut value);
                    (printable(&name, MOST_CHARS), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn texts_and_names_of_a_reply_cannot_steer_a_terminal() {
        let mut value = serde_json::json!({"a\u{1b}": ["\u{202e}x", {"b": "\u{9b}31m"}], "n": 1});
        harmless(&mut value);
        assert_eq!(value, serde_json::json!({"a\u{fffd}": ["\u{fffd}x", {"b": "\u{fffd}31m"}], "n": 1}));
    }

    const QUICK: Patience = Patience { connect: Duration::from_secs(5), whole: Duration::from_millis(300) };

    /// What becomes of a peer that answers with this and then waits, or closes.
    fn answered<T: DeserializeOwned>(reply: &[u8], closes: bool) -> Result<T, String> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address: AgentAddress = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let reply = reply.to_vec();
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1_024];
            // The client may have had enough before everything is written.
            stream.read(&mut request).and_then(|_| stream.write_all(&reply)).unwrap_or(());
            if !closes {
                while stream.read(&mut request).is_ok_and(|length| length > 0) {}
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let patience = if closes { Patience::PATIENT } else { QUICK };
        let result = runtime.block_on(get(&address, "/x", 1, patience));
        drop(runtime);
        peer.join().unwrap();
        result.map_err(|error| crate::command::report(&error).replace(&address.to_string(), "AGENT"))
    }

    fn http(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn a_peer_that_is_no_good_agent_is_told_by_what_it_does() {
        let cases = [
            (http("200 OK", "<html>"), "what the agent at AGENT answers is not understood: expected value at line 1"),
            (http("200 OK", "[1]"), "what the agent at AGENT answers is not understood: it is no object"),
            (
                http("200 OK", "{\"schema_version\": 1, \"error\": \"x\"}"),
                "what the agent at AGENT answers is not understood: missing field `needed`",
            ),
            (
                http("200 OK", "{\"schema_version\": 2}"),
                "what the agent at AGENT answers is not understood: it speaks version 2 of the schema, and this highwater \
                 1: missing field `needed`",
            ),
            (
                http("404 Not Found", "404 page not found\n"),
                "the agent at AGENT answers 404 Not Found: it is no highwater, or one too old for this",
            ),
            (
                http("404 Not Found", "{\"error\": \"no layer is called \\u001b\"}"),
                "the agent at AGENT says: no layer is called \u{fffd}",
            ),
            (
                http("401 Unauthorized", "who?"),
                "the agent at AGENT answers 401 Unauthorized: it wants a user and a password, which cannot be given here",
            ),
            (http("302 Found", ""), "the agent at AGENT answers 302 Found"),
            (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "the connection to the agent at AGENT failed: "),
            (Vec::new(), "the connection to the agent at AGENT failed: "),
        ];
        for (reply, says) in cases {
            let said = answered::<Needed>(&reply, true).unwrap_err();
            assert!(said.starts_with(says), "{said}\nis not\n{says}");
        }
    }

    #[derive(Debug, Deserialize)]
    struct Needed {
        #[expect(dead_code, reason = "only whether it is there matters")]
        needed: u32,
    }

    #[test]
    fn a_peer_that_never_ends_is_given_up() {
        let said = answered::<Value>(b"", false).unwrap_err();
        assert_eq!(said, "the agent at AGENT has not answered within 0.3s");
        let said = answered::<Value>(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", false).unwrap_err();
        assert_eq!(said, "the agent at AGENT has not answered within 0.3s");
        let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        endless.resize(MOST_BYTES + 1_024, b'{');
        let said = answered::<Value>(&endless, true).unwrap_err();
        assert_eq!(said, "the agent at AGENT answers with more than 32 MiB");
        let deep = http("200 OK", &"[".repeat(100_000));
        let said = answered::<Value>(&deep, true).unwrap_err();
        assert!(said.contains("recursion limit exceeded"), "{said}");
    }
}
