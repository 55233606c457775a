//! What is answered to which path? From memory only: the newest snapshot, rendered for this client.

use super::published::Published;
use super::rendered::{Asked, Body, Look, Rendered};
use super::{accept, api};
use crate::export::metrics::{self, Budget};
use crate::export::page;
use crate::report::{Explanation, Question};
use crate::time::Timestamp;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Response, StatusCode, Uri};
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

pub use crate::export::page::PageOptions;

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
    rendered: Rendered,
    /// The parts of the page that never change, packed once each.
    packed_files: Mutex<HashMap<&'static str, Body>>,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("telemetry_path", &self.telemetry_path).finish_non_exhaustive()
    }
}

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// May be kept, and must be asked for each time.
pub(super) const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
/// For what is no page: nothing may be loaded, framed or sent anywhere.
const DENY_ALL: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

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
            rendered: Rendered::default(),
            packed_files: Mutex::default(),
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
        let gzip = accept::gzip(list(headers, header::ACCEPT_ENCODING).as_deref());
        if let Some((body, content_type)) = file {
            return packable(self.file(body, gzip), content_type);
        }
        let newest = self.published.newest();
        let look = Look { rendered: &self.rendered, snapshot: newest.as_deref(), now: (self.clock)(), gzip };
        if path == self.telemetry_path {
            return self.scrape(&look, headers);
        }
        match (path, look.snapshot) {
            ("/-/healthy", _) => plain(StatusCode::OK, "highwater is healthy\n"),
            ("/-/ready", Some(_)) => plain(StatusCode::OK, "highwater is ready\n"),
            ("/-/ready", None) => plain(StatusCode::SERVICE_UNAVAILABLE, "no sample yet\n"),
            (api::SNAPSHOT | api::EXPLAIN, _) => api::answer(path, uri.query().unwrap_or_default(), &look, headers),
            _ => self.page(&look),
        }
    }

    fn file(&self, plain: &'static str, gzip: bool) -> Body {
        if !gzip {
            return Body::new(plain, false);
        }
        let mut files = self.packed_files.lock().unwrap_or_else(PoisonError::into_inner);
        files.entry(plain).or_insert_with(|| Body::new(plain, true)).clone()
    }

    fn page(&self, look: &Look<'_>) -> Response<Full<Bytes>> {
        let render = || {
            let explanation = look.snapshot.map(|snapshot| Explanation::new(snapshot, look.now, Question::default()));
            let report = look.report();
            // Every layer is always known.
            let known = report.as_ref().zip(explanation.as_ref().and_then(|explanation| explanation.as_ref().ok()));
            Ok::<_, Infallible>(page::render(known, &self.page).into_bytes())
        };
        let Ok(body) = look.body(Asked::Page, render);
        let mut response = packable(body, "text/html; charset=utf-8");
        let policy = HeaderValue::from_static(page::CONTENT_SECURITY_POLICY);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        response
    }

    /// The metrics in the format that the client wants.
    fn scrape(&self, look: &Look<'_>, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let chosen = accept::format(list(headers, header::ACCEPT).as_deref());
        let render = || Ok::<_, Infallible>(metrics::render(look.report().as_ref(), self.budget, chosen.format));
        let Ok(body) = look.body(Asked::Metrics(chosen.format), render);
        let mut response = packable(body, "");
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&chosen.content_type()) {
            headers.insert(header::CONTENT_TYPE, value);
        }
        headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        response
    }
}

/// An answer whose body depends on whether the client takes it packed.
pub(super) fn packable(body: Body, content_type: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(body.bytes, content_type);
    let headers = response.headers_mut();
    if body.packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

/// The value of a header that is a list; several of one name are one list.
fn list(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let all: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!all.is_empty()).then(|| all.join(","))
}

pub(super) fn plain(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(body, "text/plain; charset=utf-8");
    *response.status_mut() = status;
    response
}

pub(super) fn text(body: impl Into<Bytes>, content_type: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(header::REFERRER_POLICY, NO_REFERRER);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert("cross-origin-resource-policy", SAME_ORIGIN);
    headers.insert(header::CONTENT_SECURITY_POLICY, DENY_ALL);
    response
}
