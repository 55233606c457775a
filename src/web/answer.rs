//! What is answered to which path? From memory only: the newest snapshot, rendered for this client.

use super::response::{Body, Cache, RequestContext, Resource, compressible, plain};
use super::{api, negotiate};
use crate::export::metrics::{self, Budget};
use crate::export::page;
use crate::report::{Explanation, Question};
use crate::snapshot::Snapshot;
use crate::time::Timestamp;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Response, StatusCode, Uri};
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use crate::export::page::PageOptions;

/// The newest snapshot, for one writer and any number of readers: one slot that is replaced whole; a lock is held for the copy of a
/// pointer.
#[derive(Debug, Default)]
pub struct Published {
    newest: RwLock<Option<Arc<Snapshot>>>,
}

impl Published {
    /// Empty: nothing has been sampled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the snapshot.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        // A panic while the lock was held cannot have left half a pointer behind.
        let mut slot = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        let old = slot.replace(snapshot);
        drop(slot);
        // Freeing the old one may take a while; readers do not wait for it.
        drop(old);
    }

    /// The newest snapshot; `None` before the first.
    pub fn newest(&self) -> Option<Arc<Snapshot>> {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Everything an answer is made from.
pub struct Answers {
    /// Where the newest snapshot is.
    pub published: Arc<Published>,
    /// The time at which an answer is made; the server has no clock of its own.
    pub clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// Where the metrics are, `/metrics` by default.
    pub telemetry_path: String,
    /// How many series a scrape may have.
    pub budget: Budget,
    /// What the status page says beside the snapshot.
    pub page: PageOptions,
    cache: Cache,
    /// The parts of the page that never change, compressed once each.
    compressed_files: Mutex<HashMap<&'static str, Body>>,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("telemetry_path", &self.telemetry_path).finish_non_exhaustive()
    }
}

impl Answers {
    /// Answers from what is published, at the time of `clock`, with the metrics at `telemetry_path`.
    pub fn new(
        published: Arc<Published>,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
        telemetry_path: String,
        budget: Budget,
        page: PageOptions,
    ) -> Self {
        Self {
            published,
            clock: Box::new(clock),
            telemetry_path,
            budget,
            page,
            cache: Cache::default(),
            compressed_files: Mutex::default(),
        }
    }

    /// The answer to one request. A HEAD request is answered as GET; hyper leaves the body out.
    pub(super) fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let path = uri.path();
        let file = page::file(path);
        let known = path == self.telemetry_path
            || file.is_some()
            || matches!(path, "/" | api::SNAPSHOT | api::EXPLAIN | "/-/healthy" | "/-/ready");
        if !known {
            return plain(StatusCode::NOT_FOUND, "not found\n");
        }
        if method != Method::GET && method != Method::HEAD {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let gzip = negotiate::gzip(list(headers, header::ACCEPT_ENCODING).as_deref());
        if let Some((body, content_type)) = file {
            return compressible(self.file(body, gzip), content_type);
        }
        let newest = self.published.newest();
        let context = RequestContext { cache: &self.cache, snapshot: newest.as_deref(), now: (self.clock)(), gzip };
        if path == self.telemetry_path {
            return self.scrape(&context, headers);
        }
        match (path, context.snapshot) {
            ("/-/healthy", _) => plain(StatusCode::OK, "highwater is healthy\n"),
            ("/-/ready", Some(_)) => plain(StatusCode::OK, "highwater is ready\n"),
            ("/-/ready", None) => plain(StatusCode::SERVICE_UNAVAILABLE, "no sample yet\n"),
            (api::SNAPSHOT | api::EXPLAIN, _) => api::answer(path, uri.query().unwrap_or_default(), &context, headers),
            _ => self.page(&context),
        }
    }

    /// Whether a path is answered under every name: Prometheus and probes come by whatever name they have been given.
    pub(super) fn is_for_any_host(&self, path: &str) -> bool {
        path == self.telemetry_path || matches!(path, "/-/healthy" | "/-/ready")
    }

    fn file(&self, plain: &'static str, gzip: bool) -> Body {
        if !gzip {
            return Body::new(plain, false);
        }
        let mut files = self.compressed_files.lock().unwrap_or_else(PoisonError::into_inner);
        files.entry(plain).or_insert_with(|| Body::new(plain, true)).clone()
    }

    fn page(&self, context: &RequestContext<'_>) -> Response<Full<Bytes>> {
        let render = || {
            let (snapshot, now) = (context.snapshot, context.now);
            let explanation = snapshot.map(|snapshot| Explanation::new(snapshot, now, Question::default()));
            let report = context.report();
            // Every layer is always known.
            let known = report.as_ref().zip(explanation.as_ref().and_then(|explanation| explanation.as_ref().ok()));
            Ok::<_, Infallible>(page::render(known, &self.page).into_bytes())
        };
        let Ok(body) = context.body(Resource::Page, render);
        let mut response = compressible(body, "text/html; charset=utf-8");
        let policy = HeaderValue::from_static(page::CONTENT_SECURITY_POLICY);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        response
    }

    /// The metrics in the format that the client wants.
    fn scrape(&self, context: &RequestContext<'_>, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let chosen = negotiate::format(list(headers, header::ACCEPT).as_deref());
        let render =
            || Ok::<_, Infallible>(metrics::render(context.report().as_ref(), self.budget, chosen.format).into_bytes());
        let Ok(body) = context.body(Resource::Metrics(chosen.format), render);
        let mut response = compressible(body, "");
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&chosen.content_type()) {
            headers.insert(header::CONTENT_TYPE, value);
        }
        headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        response
    }
}

/// The value of a header that is a list; several of one name are one list.
fn list(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let all: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!all.is_empty()).then(|| all.join(","))
}
