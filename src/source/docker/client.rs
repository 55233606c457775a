//! How is a dockerd asked? One GET at a time over HTTP/1.1 on a Unix socket, each with its deadline.

use super::bounded::Into as ReadInto;
use super::error::DockerError;
use super::reply::{ApiVersion, Container, Info, RawContainer, RawInfo, RawVersion, Version};
use crate::access::socket::{Endpoint, ReplyLimits};
use crate::source::listing::{Cut, Listing};
use crate::untrusted::Label;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use serde::de::{DeserializeOwned, DeserializeSeed};
use tokio::task::JoinHandle;

/// The newest API whose replies this code knows. The older of this and the daemon's is spoken.
pub(super) const OUR_API: ApiVersion = ApiVersion::new(1, 51);

/// A client for one daemon. It connects when it is first used, and again after a failure.
#[derive(Debug)]
pub(super) struct Client<'a> {
    endpoint: &'a Endpoint,
    limits: &'a ReplyLimits,
    connection: Option<Connection>,
    api: Option<ApiVersion>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

/// A body, as far as the limit allows.
struct Body {
    bytes: Vec<u8>,
    cut: bool,
}

impl<'a> Client<'a> {
    /// A client that has not connected yet.
    pub(super) fn new(endpoint: &'a Endpoint, limits: &'a ReplyLimits) -> Self {
        Self { endpoint, limits, connection: None, api: None }
    }

    /// `GET /version`. The calls that follow speak the older of the daemon's API and [`OUR_API`]; without this one, or where
    /// the daemon does not say, its newest.
    pub(super) async fn version(&mut self) -> Result<Version, DockerError> {
        let version = Version::from(self.object::<RawVersion>("/version").await?);
        // A daemon that no longer speaks ours is asked in its oldest: the fields read here have not changed since 1.24.
        let oldest = version.oldest_api.unwrap_or(OUR_API);
        self.api = version.api.map(|newest| newest.min(OUR_API.max(oldest)));
        Ok(version)
    }

    /// `GET /info`.
    pub(super) async fn info(&mut self) -> Result<Info, DockerError> {
        let path = self.path("/info");
        self.object::<RawInfo>(&path).await.map(Info::from)
    }

    /// `GET /containers/json?all=1`: containers in every state, without sizes.
    pub(super) async fn containers(&mut self) -> Result<Listing<Container>, DockerError> {
        let path = self.path("/containers/json?all=1");
        self.list::<RawContainer, Container>(&path).await
    }

    fn path(&self, call: &str) -> String {
        self.api.map_or_else(|| call.to_owned(), |api| format!("/v{api}{call}"))
    }

    async fn object<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, DockerError> {
        let body = self.get(path).await?;
        if body.cut {
            return Err(DockerError::TooLarge { path: path.to_owned(), limit: self.limits.bytes });
        }
        serde_json::from_slice(&body.bytes).map_err(|source| DockerError::Malformed { path: path.to_owned(), source })
    }

    async fn list<R: DeserializeOwned, T: From<R>>(&mut self, path: &str) -> Result<Listing<T>, DockerError> {
        let body = self.get(path).await?;
        let mut items: Vec<R> = Vec::new();
        let mut text = serde_json::Deserializer::from_slice(&body.bytes);
        let more = ReadInto { items: &mut items, limit: self.limits.items }.deserialize(&mut text);
        let cut = match more {
            Ok(false) => None,
            Ok(true) => Some(Cut::Items(self.limits.items)),
            Err(e) if body.cut && e.is_eof() => Some(Cut::Bytes(self.limits.bytes)),
            Err(source) => return Err(DockerError::Malformed { path: path.to_owned(), source }),
        };
        Ok(Listing { items: items.into_iter().map(T::from).collect(), cut })
    }

    /// One call with its deadline. After a failure the next call makes a new connection.
    async fn get(&mut self, path: &str) -> Result<Body, DockerError> {
        let limit = self.limits.call;
        let result = match tokio::time::timeout(limit, self.exchange(path)).await {
            Ok(result) => result,
            Err(_) => Err(DockerError::TimedOut { path: path.to_owned(), limit }),
        };
        // What is left of a body that was cut must not be taken for the next reply.
        if !matches!(result, Ok(Body { cut: false, .. })) {
            self.connection = None;
        }
        result
    }

    async fn exchange(&mut self, path: &str) -> Result<Body, DockerError> {
        let broken = |source| DockerError::Connection { path: path.to_owned(), source };
        let connection = match self.connection.take().filter(|connection| !connection.sender.is_closed()) {
            Some(connection) => connection,
            None => self.connect(path).await?,
        };
        let Connection { sender, .. } = self.connection.insert(connection);
        sender.ready().await.map_err(broken)?;
        let response = sender.send_request(request(path)).await.map_err(broken)?;
        let status = response.status();
        if status != StatusCode::OK {
            const ENOUGH: usize = 1 << 10;
            let body = read(response, ENOUGH).await.map_err(broken)?;
            let message = Label::from_bytes(&body.bytes);
            return Err(DockerError::Status { path: path.to_owned(), code: status.as_u16(), message });
        }
        read(response, self.limits.bytes).await.map_err(broken)
    }

    async fn connect(&self, path: &str) -> Result<Connection, DockerError> {
        const BUFFER: usize = 64 << 10;
        let stream = self.endpoint.connect(self.limits.call).await.map_err(|source| DockerError::Connect { source })?;
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|source| DockerError::Connection { path: path.to_owned(), source })?;
        // Its error also reaches the call that is in flight.
        Ok(Connection { sender, driver: tokio::spawn(async move { drop(driver.await) }) })
    }
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    // Paths are made above from constants and numbers; they always parse.
    *request.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/_ping"));
    request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("docker"));
    request
}

async fn read(response: Response<Incoming>, limit: usize) -> Result<Body, hyper::Error> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = limit - bytes.len();
        bytes.extend_from_slice(data.get(..room).unwrap_or(&data));
        if data.len() > room {
            return Ok(Body { bytes, cut: true });
        }
    }
    Ok(Body { bytes, cut: false })
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
