//! How is a CRI daemon asked? One unary gRPC call at a time over HTTP/2, each with its deadline.

use super::decode::{Flow, Framed, List, Sink, Whole};
use super::error::CriError;
use super::message;
use super::method::Method;
use super::reply::{FsUsage, ListedPod, Status, Version};
use crate::access::socket::{Endpoint, ReplyLimits};
use crate::sample::{Container, Image};
use crate::source::listing::Listing;
use crate::untrusted::Label;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{HeaderMap, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// A client for one daemon. It connects when it is first used, and again after a failure.
#[derive(Debug)]
pub(super) struct Client<'a> {
    endpoint: &'a Endpoint,
    limits: &'a ReplyLimits,
    connection: Option<Connection>,
}

/// An HTTP/2 connection and the tasks that drive it.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    tasks: Tasks,
}

/// Runs hyper's tasks, and ends them with the connection: left to themselves they wait for ever for a peer that does not read.
#[derive(Debug, Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

/// What the daemon may make us keep of one connection: 16 KiB of headers, and this much of replies that are not yet read.
const WINDOW: u32 = 256 << 10;
const MAX_HEADERS: u32 = 16 << 10;

impl<'a> Client<'a> {
    /// A client that has not connected yet.
    pub(super) fn new(endpoint: &'a Endpoint, limits: &'a ReplyLimits) -> Self {
        Self { endpoint, limits, connection: None }
    }

    /// RuntimeService.Version.
    pub(super) async fn version(&mut self) -> Result<Version, CriError> {
        let reply = self.unary(Method::Version, Whole::new(self.limits)).await?;
        reply.decode::<message::VersionResponse>(Method::Version).map(Version::from)
    }

    /// RuntimeService.Status, verbose.
    pub(super) async fn status(&mut self) -> Result<Status, CriError> {
        let reply = self.unary(Method::Status, Whole::new(self.limits)).await?;
        reply.decode::<message::StatusResponse>(Method::Status).map(Status::from)
    }

    /// ImageService.ImageFsInfo, `image_filesystems` only.
    pub(super) async fn image_fs(&mut self) -> Result<Vec<FsUsage>, CriError> {
        let listing = self.unary(Method::ImageFsInfo, self.list::<message::FilesystemUsage, FsUsage>()).await?.finish();
        match listing.cut {
            None => Ok(listing.items),
            Some(_) => Err(CriError::TooLarge { method: Method::ImageFsInfo, limit: self.limits.bytes }),
        }
    }

    /// RuntimeService.ListPodSandbox without filter.
    pub(super) async fn pods(&mut self) -> Result<Listing<ListedPod>, CriError> {
        Ok(self.unary(Method::ListPodSandbox, self.list::<message::PodSandbox, ListedPod>()).await?.finish())
    }

    /// RuntimeService.ListContainers without filter: every state.
    pub(super) async fn containers(&mut self) -> Result<Listing<Container>, CriError> {
        Ok(self.unary(Method::ListContainers, self.list::<message::Container, Container>()).await?.finish())
    }

    /// ImageService.ListImages without filter.
    pub(super) async fn images(&mut self) -> Result<Listing<Image>, CriError> {
        Ok(self.unary(Method::ListImages, self.list::<message::Image, Image>()).await?.finish())
    }

    fn list<M, T>(&self) -> List<M, T> {
        List::new(self.limits)
    }

    /// One call with its deadline. After a failure of the connection the next call makes a new one.
    async fn unary<S: Sink>(&mut self, method: Method, sink: S) -> Result<S, CriError> {
        let limit = self.limits.call;
        let result = match tokio::time::timeout(limit, self.exchange(method, sink)).await {
            Ok(result) => result,
            Err(_) => Err(CriError::TimedOut { method, limit }),
        };
        if !matches!(result, Ok(_) | Err(CriError::Status { .. } | CriError::Unimplemented { .. })) {
            self.connection = None;
        }
        result
    }

    async fn exchange<S: Sink>(&mut self, method: Method, sink: S) -> Result<S, CriError> {
        let broken = |source| CriError::Connection { method, source };
        let connection = match self.connection.take().filter(|connection| !connection.sender.is_closed()) {
            Some(connection) => connection,
            None => self.connect(method).await?,
        };
        let Connection { sender, .. } = self.connection.insert(connection);
        sender.ready().await.map_err(broken)?;
        let response = sender.send_request(request(method)).await.map_err(broken)?;
        check_head(method, response.status(), response.headers())?;

        let mut framed = Framed::new(method, sink);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            match frame.map_err(broken)?.into_data() {
                Ok(data) => {
                    if framed.push(&data)? == Flow::Enough {
                        return Ok(framed.into_sink());
                    }
                }
                Err(frame) => {
                    if let Some(status) = frame.trailers_ref().and_then(|trailers| status(method, trailers)) {
                        status?;
                        return framed.finish();
                    }
                }
            }
        }
        Err(CriError::Malformed { method, problem: "the reply ends without a gRPC status".to_owned() })
    }

    async fn connect(&self, method: Method) -> Result<Connection, CriError> {
        let stream = self.endpoint.connect(self.limits.call).await.map_err(|source| CriError::Connect { source })?;
        let tasks = Tasks::default();
        let (sender, driver) = http2::Builder::new(tasks.clone())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(MAX_HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|source| CriError::Connection { method, source })?;
        // Its error also reaches the call that is in flight.
        tasks.spawn(async move { drop(driver.await) });
        Ok(Connection { sender, tasks })
    }
}

/// Five bytes of prefix, "not compressed" and the length, and the message: empty, but for the one field of a verbose Status.
fn request(method: Method) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from_static(method.request())));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = hyper::Uri::from_static(method.uri());
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, header::HeaderValue::from_static("trailers"));
    request
}

fn check_head(method: Method, status_code: StatusCode, headers: &HeaderMap) -> Result<(), CriError> {
    let malformed = |problem| CriError::Malformed { method, problem };
    if status_code != StatusCode::OK {
        return Err(malformed(format!("HTTP status {}", status_code.as_u16())));
    }
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], header::HeaderValue::as_bytes);
    if !content_type.starts_with(b"application/grpc") {
        return Err(malformed(format!("content type {}", Label::from_bytes(content_type))));
    }
    // A reply without a message has its status here ("trailers-only").
    match status(method, headers) {
        Some(Err(error)) => Err(error),
        Some(Ok(())) | None => Ok(()),
    }
}

/// The gRPC status in these headers, if there is one.
fn status(method: Method, headers: &HeaderMap) -> Option<Result<(), CriError>> {
    const UNIMPLEMENTED: u32 = 12;
    let text = headers.get("grpc-status")?;
    let Some(code) = text.to_str().ok().and_then(|text| text.parse::<u32>().ok()) else {
        let problem = format!("gRPC status {}", Label::from_bytes(text.as_bytes()));
        return Some(Err(CriError::Malformed { method, problem }));
    };
    let message = headers.get("grpc-message").map_or(&b""[..], header::HeaderValue::as_bytes);
    let message = Label::from_bytes(message);
    Some(match code {
        0 => Ok(()),
        UNIMPLEMENTED => Err(CriError::Unimplemented { method, message }),
        _ => Err(CriError::Status { method, code, message }),
    })
}

impl Method {
    /// The name of the call.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Version => "Version",
            Self::Status => "Status",
            Self::ImageFsInfo => "ImageFsInfo",
            Self::ListPodSandbox => "ListPodSandbox",
            Self::ListContainers => "ListContainers",
            Self::ListImages => "ListImages",
        }
    }

    const fn request(self) -> &'static [u8] {
        match self {
            Self::Status => &[0, 0, 0, 0, 2, 0x08, 1],
            _ => &[0; 5],
        }
    }

    const fn uri(self) -> &'static str {
        match self {
            Self::Version => "http://localhost/runtime.v1.RuntimeService/Version",
            Self::Status => "http://localhost/runtime.v1.RuntimeService/Status",
            Self::ImageFsInfo => "http://localhost/runtime.v1.ImageService/ImageFsInfo",
            Self::ListPodSandbox => "http://localhost/runtime.v1.RuntimeService/ListPodSandbox",
            Self::ListContainers => "http://localhost/runtime.v1.RuntimeService/ListContainers",
            Self::ListImages => "http://localhost/runtime.v1.ImageService/ListImages",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }
}

impl<F: Future + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.spawn(async move { drop(task.await) });
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // hyper's tasks hold this set themselves, so that dropping it may not be enough.
        self.tasks.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}
