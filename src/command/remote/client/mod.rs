//! How is one question put to an agent? One GET on a connection of its own, within limits.

use super::error::{RemoteError, handshake, of_client};
use super::setup::{Setup, setup};
use super::tls::Tls;
use crate::config::{Agent, AgentAddress};
use crate::untrusted::printable;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// How long an agent is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::command) struct Timeouts {
    /// Until the connection is there.
    pub(in crate::command) connect: Duration,
    /// For everything.
    pub(in crate::command) whole: Duration,
}

impl Timeouts {
    /// For an agent that was asked for by name.
    pub(in crate::command) const PATIENT: Self =
        Self { connect: Duration::from_secs(5), whole: Duration::from_secs(15) };
    /// For one that may be there: it answers from memory, on this machine.
    pub(in crate::command) const BRIEF: Self =
        Self { connect: Duration::from_millis(250), whole: Duration::from_secs(2) };
}

/// 5,000 images with their verdicts take about 3 MiB in `explain`; nothing honest is larger than this.
const MOST_BYTES: usize = 32 << 20;
/// The longest message that is taken over; names have at most 253 characters, messages list them.
const MOST_CHARS: usize = 4_096;

/// The reply to `GET path`, where `path` may carry a query.
///
/// # Errors
/// [`RemoteError`], which names the agent.
pub(in crate::command) async fn get<T: DeserializeOwned>(
    agent: &Agent,
    path: &str,
    schema_version: u32,
    patience: Timeouts,
) -> Result<T, RemoteError> {
    let setup = setup(agent)?;
    let address = || agent.address.to_string();
    let late = |within| RemoteError::TimedOut { address: address(), within };
    let exchange = async {
        let stream = tokio::time::timeout(patience.connect, connect(&agent.address)).await;
        let stream = stream
            .map_err(|_| late(patience.connect))?
            .map_err(|source| RemoteError::Connect { address: address(), source })?;
        let stream = match &setup.tls {
            Some(tls) => secure(&agent.address, stream, tls).await?,
            None => stream,
        };
        exchange(&agent.address, stream, path, &setup).await
    };
    let body = tokio::time::timeout(patience.whole, exchange).await.map_err(|_| late(patience.whole))??;
    // The types of the reply sanitize their own texts as they are read; an error may quote what they did not take.
    let malformed = |hint, error: serde_json::Error| {
        let source = serde::de::Error::custom(printable(&error.to_string(), MOST_CHARS));
        RemoteError::Malformed { address: address(), hint, source }
    };
    let value: Value = serde_json::from_slice(&body).map_err(|source| malformed(None, source))?;
    if !value.is_object() {
        return Err(malformed(None, serde::de::Error::custom("it is no object")));
    }
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
        AgentAddress::Web { authority, .. } => Box::new(TcpStream::connect(authority.as_str()).await?),
        AgentAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}

async fn secure(agent: &AgentAddress, stream: Box<dyn Stream>, tls: &Tls) -> Result<Box<dyn Stream>, RemoteError> {
    match tls.over(stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => {
            let reason = handshake(&error, tls.certificate());
            Err(RemoteError::Tls { address: agent.to_string(), reason })
        }
    }
}

async fn exchange(
    agent: &AgentAddress,
    stream: Box<dyn Stream>,
    path: &str,
    setup: &Setup,
) -> Result<Vec<u8>, RemoteError> {
    let broken = |source| RemoteError::Broken { address: agent.to_string(), hint: hint(&source, setup), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Its error also reaches the call that is in flight.
    let driver = tokio::spawn(async move { drop(connection.await) });
    let (host, prefix) = match agent {
        AgentAddress::Web { authority, prefix, .. } => (authority.as_str(), prefix.as_str()),
        AgentAddress::Unix(_) => ("localhost", ""),
    };
    let mut request = Request::builder()
        .uri(format!("{prefix}{path}"))
        .header(header::HOST, host)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("highwater/", env!("CARGO_PKG_VERSION")));
    if let Some(authorization) = &setup.authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    // Host and paths were parsed as parts of a URL before.
    let Ok(request) = request.body(Empty::<Bytes>::new()) else { return Ok(Vec::new()) };
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let wanted = wanted(&response, setup);
    let body = read(response).await.map_err(broken)?;
    driver.abort();
    let body = body.ok_or_else(|| RemoteError::TooLarge { address: agent.to_string(), most_mib: MOST_BYTES >> 20 })?;
    if status == StatusCode::OK { Ok(body) } else { Err(refusal(agent, status, &body, wanted)) }
}

/// What may help when the connection breaks.
fn hint(error: &hyper::Error, setup: &Setup) -> &'static str {
    match &setup.tls {
        Some(tls) => of_client(tls.certificate()),
        None if error.is_parse() || error.is_incomplete_message() => "; if it speaks TLS, write https://",
        None => "",
    }
}

/// What a 401 asks for.
fn wanted(response: &Response<Incoming>, setup: &Setup) -> &'static str {
    let challenge = response.headers().get(header::WWW_AUTHENTICATE).map_or(&b""[..], HeaderValue::as_bytes);
    let token = challenge.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"));
    match (setup.authorization.is_some(), token) {
        (true, _) => "it does not accept the login of --agent.config.file",
        (false, true) => "it wants a token: authorization in --agent.config.file",
        (false, false) => "it wants a user and a password: basic_auth in --agent.config.file",
    }
}

/// What is said of an answer that is not 200: what the agent says itself, and what helps.
fn refusal(agent: &AgentAddress, status: StatusCode, body: &[u8], wanted: &'static str) -> RemoteError {
    let said = serde_json::from_slice::<Message>(body).map(|message| message.error).unwrap_or_default();
    // Others write a sentence, or a line.
    let said = said.trim().trim_end_matches('.');
    let (address, message) = (agent.to_string(), printable(said, MOST_CHARS));
    let in_the_clear = matches!(agent, AgentAddress::Web { tls: None, .. });
    let remedy = match status {
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND if !message.is_empty() => {
            return RemoteError::Question { address, message };
        }
        StatusCode::NOT_FOUND => "it is no highwater, or one too old for this",
        StatusCode::UNAUTHORIZED => wanted,
        // As Go, nginx and others answer HTTP where they want TLS.
        StatusCode::BAD_REQUEST if in_the_clear && body.windows(5).any(|word| word == b"HTTPS") => {
            "it speaks TLS; write https:// instead"
        }
        _ => "",
    };
    RemoteError::Refused { address, status, message, remedy }
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

#[cfg(test)]
mod tests;
