//! The other side of the socket: fake daemons, each on a thread of its own.

use highwater::access::root::Root;
use highwater::access::socket::{Endpoint, ReplyLimits};
use highwater::sample::{AbsenceReason, Reading};
use highwater::time::Timestamp;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A container's root with the socket of a daemon.
pub(super) struct Place {
    pub(super) dir: TempDir,
}

pub(super) const SOCKET: &str = "/run/daemon.sock";

/// The date of every reading.
pub(super) const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

impl Place {
    pub(super) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join("run")).unwrap();
        Self { dir }
    }

    /// Where the socket is on this machine.
    pub(super) fn socket(&self) -> PathBuf {
        self.dir.path().join("run/daemon.sock")
    }

    pub(super) fn listen(&self) -> UnixListener {
        UnixListener::bind(self.socket()).unwrap()
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        self.endpoint_at(SOCKET)
    }

    pub(super) fn endpoint_at(&self, path: &str) -> Endpoint {
        Endpoint::new(Arc::new(Root::open(self.dir.path()).unwrap()), path.into())
    }

    /// Every connection is handed to `talk`, each on a thread.
    pub(super) fn with(talk: impl Fn(UnixStream) + Send + Clone + 'static) -> Self {
        let place = Self::new();
        let listener = place.listen();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let talk = talk.clone();
                std::thread::spawn(move || talk(stream));
            }
        });
        place
    }

    /// A gRPC server (hyper's HTTP/2) that answers each call, named by its last part, as `answer` says.
    pub(super) fn with_grpc(answer: impl Fn(&str) -> Answer + Send + Clone + 'static) -> Self {
        let place = Self::new();
        let listener = place.listen();
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            runtime().block_on(async move {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let answer = answer.clone();
                    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                        let answer = answer.clone();
                        async move {
                            let call = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
                            assert_eq!(request.headers().get("te").unwrap(), "trailers");
                            let body = request.into_body().collect().await.unwrap().to_bytes();
                            // Nothing is asked with an option, but for a verbose Status.
                            let message: &[u8] = if call == "Status" { &[0, 0, 0, 0, 2, 8, 1] } else { &[0; 5] };
                            assert_eq!(&body[..], message);
                            answer(&call).response().await
                        }
                    });
                    tokio::spawn(async move {
                        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        server.serve_connection(TokioIo::new(stream), service).await.ok();
                    });
                }
            });
        });
        place
    }

    /// An HTTP/1.1 server that answers each GET, named by its path, with these bytes after the status line.
    pub(super) fn with_http(answer: impl Fn(&str) -> Vec<u8> + Send + Clone + 'static) -> Self {
        Self::with(move |mut stream| {
            while let Some(request) = read_head(&mut stream) {
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                assert!(request.starts_with("GET "), "only GET: {request}");
                if stream.write_all(&answer(&path)).is_err() {
                    return;
                }
            }
        })
    }
}

/// The head of one HTTP request, without the empty line; `None` when the connection ends.
fn read_head(stream: &mut UnixStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// Waits until the other side has said something.
pub(super) fn hear(stream: &mut UnixStream) {
    let mut some = [0; 1024];
    assert!(stream.read(&mut some).unwrap() > 0);
}

/// A complete HTTP/1.1 reply.
pub(super) fn json(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into()
}

/// What the fake gRPC server says to one call.
pub(super) enum Answer {
    /// A message in its frame, and status OK.
    Message(Vec<u8>),
    /// The body as it is, and status OK.
    Body(Vec<u8>),
    /// The body as it is, and no status.
    NoStatus(Vec<u8>),
    /// This many bytes are announced; the parts come one by one, and then nothing but more of the last one.
    Endless { announced: u32, part: Vec<u8>, sent: Arc<std::sync::atomic::AtomicUsize> },
    /// Only headers, with a gRPC status and its text.
    Status(u32, String),
    /// An HTTP reply with this status and content type.
    Http(u16, &'static str),
    /// Never.
    Hang,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl Answer {
    async fn response(self) -> Result<Response<Body>, Infallible> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let mut response = Response::new(match self {
            Self::Message(message) => body([Frame::data(framed(&message).into()), Frame::trailers(trailers)]),
            Self::Body(bytes) => body([Frame::data(bytes.into()), Frame::trailers(trailers)]),
            Self::NoStatus(bytes) => body([Frame::data(bytes.into())]),
            Self::Endless { announced, part, sent } => {
                let mut first = vec![0];
                first.extend_from_slice(&announced.to_be_bytes());
                let part = Bytes::from(part);
                Endless { first: Some(first.into()), part, sent }.boxed_unsync()
            }
            Self::Status(code, text) => {
                let mut response = Response::new(body([]));
                response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
                response.headers_mut().insert("grpc-status", code.into());
                response.headers_mut().insert("grpc-message", text.parse().unwrap());
                return Ok(response);
            }
            Self::Http(status, content_type) => {
                let mut response = Response::new(body([Frame::data("<html>".into())]));
                *response.status_mut() = status.try_into().unwrap();
                response.headers_mut().insert("content-type", content_type.parse().unwrap());
                return Ok(response);
            }
            Self::Hang => std::future::pending().await,
        });
        response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        Ok(response)
    }
}

/// A body that never ends.
struct Endless {
    first: Option<Bytes>,
    part: Bytes,
    sent: Arc<std::sync::atomic::AtomicUsize>,
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.first.take().unwrap_or_else(|| self.part.clone());
        self.sent.fetch_add(part.len(), std::sync::atomic::Ordering::Relaxed);
        std::task::Poll::Ready(Some(Ok(Frame::data(part))))
    }
}

struct Frames(std::vec::IntoIter<Frame<Bytes>>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.next().map(Ok))
    }
}

fn body<const N: usize>(frames: [Frame<Bytes>; N]) -> Body {
    Frames(Vec::from(frames).into_iter()).boxed_unsync()
}

/// A message with gRPC's prefix.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(message);
    bytes
}

/// A protobuf number.
pub(super) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A protobuf field with text or a message in it.
pub(super) fn field(number: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// A protobuf field with a number in it.
pub(super) fn number(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Limits for a daemon that answers: far longer than it needs on a busy machine.
pub(super) fn patient() -> ReplyLimits {
    ReplyLimits { call: Duration::from_mins(1), ..ReplyLimits::default() }
}

/// Limits for a daemon that does not answer.
pub(super) fn impatient() -> ReplyLimits {
    ReplyLimits { call: Duration::from_millis(150), ..ReplyLimits::default() }
}

/// Why a value is absent, and the text for people.
pub(super) fn why<T>(reading: &Reading<T>) -> (AbsenceReason, &str) {
    let absence = reading.absence().expect("should be absent");
    (absence.reason, absence.detail.as_str())
}
