//! What is answered to which path? From memory only: the newest snapshot, rendered for this client.

use super::published::Published;
use super::{accept, api};
use crate::export::metrics::{self, Budget};
use crate::export::page;
use crate::time::Timestamp;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Response, StatusCode, Uri};
use std::fmt;
use std::sync::Arc;

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
        let now = (self.clock)();
        let newest = self.published.newest();
        let snapshot = newest.as_deref();
        if path == self.telemetry_path {
            let format = accept::format(headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()));
            let mut response = text(metrics::render(snapshot, now, self.budget, format), format.content_type());
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
            return response;
        }
        if let Some((body, content_type)) = file {
            return text(body, content_type);
        }
        match (path, snapshot) {
            ("/-/healthy", _) => plain(StatusCode::OK, "highwater is healthy\n"),
            ("/-/ready", Some(_)) => plain(StatusCode::OK, "highwater is ready\n"),
            ("/-/ready", None) => plain(StatusCode::SERVICE_UNAVAILABLE, "no sample yet\n"),
            (api::SNAPSHOT | api::EXPLAIN, snapshot) => {
                api::answer(path, uri.query().unwrap_or_default(), snapshot, now, headers)
            }
            _ => {
                let mut response = text(page::render(snapshot, now, &self.page), "text/html; charset=utf-8");
                let policy = HeaderValue::from_static(page::CONTENT_SECURITY_POLICY);
                response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
                response
            }
        }
    }
}

fn plain(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
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
