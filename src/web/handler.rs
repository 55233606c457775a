//! May this client have an answer? The rules in force, applied to each request on a connection; and how many bytes of answers has
//! it not taken yet?

use super::answer::Answers;
use super::response::plain;
use super::rules::{AccessRules, Rules};
use super::slots::{ByteCount, ConnectionSlots};
use super::stream::Source;
use super::users::Admission;
use super::{api, host};
use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderValue};
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

/// Answers the requests of one connection; hyper calls it for each.
#[derive(Clone)]
pub(super) struct RequestHandler(Arc<Connection>);

/// What is known of the connection.
pub(super) struct Connection {
    pub(super) answers: Arc<Answers>,
    pub(super) rules: Arc<AccessRules>,
    pub(super) slots: Arc<ConnectionSlots>,
    /// Bytes of answers that its client has not taken yet.
    pub(super) unsent: ByteCount,
    pub(super) source: Source,
    /// Whether it had an answer before.
    pub(super) answered: AtomicBool,
    /// How often it was denied.
    pub(super) failures: AtomicU32,
}

impl RequestHandler {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Arc::new(connection))
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        self.0.rules.current()
    }
}

impl Service<Request<Incoming>> for RequestHandler {
    type Response = Response<CountedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let connection = Arc::clone(&self.0);
        Box::pin(async move {
            if connection.answered.swap(true, Ordering::Relaxed) {
                connection.slots.yield_to_others().await;
            }
            let response = connection.respond(&request).await;
            let counts = [Arc::clone(&connection.unsent), connection.slots.unsent()];
            let response = response.map(|body| CountedBody::new(body, counts));
            connection.slots.shed();
            Ok(response)
        })
    }
}

impl Connection {
    /// The answer, or why there is none.
    async fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let rules = self.rules.current();
        let refusal = self.refusal(&rules, request).await;
        let mut response =
            refusal.unwrap_or_else(|| self.answers.answer(request.method(), request.uri(), request.headers()));
        for (name, value) in &rules.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    /// `None` where the request may be answered.
    async fn refusal(&self, rules: &Rules, request: &Request<Incoming>) -> Option<Response<Full<Bytes>>> {
        let Ok(host) = host::requested(request) else {
            return Some(plain(
                StatusCode::BAD_REQUEST,
                "a request has exactly one Host header, with a name or an address\n",
            ));
        };
        if rules.rate_limit.as_ref().is_some_and(|bucket| !bucket.take()) {
            return Some(try_again(StatusCode::TOO_MANY_REQUESTS, "too many requests\n"));
        }
        if rules.config.users.is_empty() {
            let is_safe = rules.tls.is_some()
                || self.source == Source::Local
                || self.answers.is_for_any_host(request.uri().path())
                || host.is_none_or(|host| self.rules.hosts.contains(&host));
            return (!is_safe).then(|| unknown_host(request.uri().path()));
        }
        let authorization = request.headers().get(header::AUTHORIZATION);
        let failures = self.failures.load(Ordering::Relaxed);
        match self.rules.users.admit(&rules.config.users, authorization, self.source, failures).await {
            Admission::Granted => None,
            Admission::Denied => {
                self.failures.store(failures.saturating_add(1), Ordering::Relaxed);
                let mut response = plain(StatusCode::UNAUTHORIZED, "user and password are needed\n");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
                Some(response)
            }
            Admission::Busy => {
                Some(try_again(StatusCode::SERVICE_UNAVAILABLE, "too many passwords are being checked; try again\n"))
            }
        }
    }
}

/// For a page in a browser, or for a client of the API.
fn unknown_host(path: &str) -> Response<Full<Bytes>> {
    const MESSAGE: &str =
        "this host name is not one of the agent's; use an IP address, or allow the name by --web.allowed-host\n";
    if path.starts_with("/api/") {
        return api::error(StatusCode::FORBIDDEN, MESSAGE.trim_end());
    }
    plain(StatusCode::FORBIDDEN, MESSAGE)
}

fn try_again(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(status, body);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Bytes that count as unsent until this is dropped.
#[derive(Debug)]
struct Unsent {
    bytes: usize,
    counts: [ByteCount; 2],
}

impl Drop for Unsent {
    fn drop(&mut self) {
        for count in &self.counts {
            count.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// The body of an answer, which counts as unsent until its last byte has left the process.
#[derive(Debug)]
pub(super) struct CountedBody {
    body: Full<Bytes>,
    unsent: Option<Unsent>,
}

impl CountedBody {
    /// Counts `body` for its connection and for all.
    fn new(body: Full<Bytes>, counts: [ByteCount; 2]) -> Self {
        let bytes = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        for count in &counts {
            count.fetch_add(bytes, Ordering::Relaxed);
        }
        Self { body, unsent: Some(Unsent { bytes, counts }) }
    }
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        Pin::new(&mut this.body).poll_frame(context).map_ok(|frame| {
            frame.map_data(|bytes| match this.unsent.take() {
                // hyper keeps the bytes after it has dropped the body; they are counted as long.
                Some(unsent) => Bytes::from_owner(CountedBytes { bytes, _unsent: unsent }),
                None => bytes,
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

struct CountedBytes {
    bytes: Bytes,
    _unsent: Unsent,
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn an_answer_counts_until_its_last_byte_is_gone() {
        let counts = [ByteCount::default(), ByteCount::default()];
        let unsent = || counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        let mut body = CountedBody::new(Full::new(Bytes::from_static(b"0123456789")), counts.clone());
        assert_eq!(body.size_hint().exact(), Some(10));
        let mut bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        assert_eq!(unsent(), [10, 10]);
        let rest = bytes.split_off(9);
        drop(bytes);
        assert_eq!((unsent(), &rest[..]), ([10, 10], &b"9"[..]));
        drop(rest);
        assert_eq!(unsent(), [0, 0]);
        drop(CountedBody::new(Full::new(Bytes::from_static(b"never sent")), counts.clone()));
        assert_eq!(unsent(), [0, 0]);
    }
}
