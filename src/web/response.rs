//! What is an answer made of? Security headers, and a body that is rendered and compressed once for all who request the same in
//! the same second.

use crate::export::metrics::Format;
use crate::report::Report;
use crate::snapshot::Snapshot;
use crate::time::Timestamp;
use crate::units;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// What is rendered from a snapshot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Metrics(Format),
    Page,
    Snapshot,
    Explain(Parameters),
}

/// The parameters of `/api/v1/explain`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) layer: Option<String>,
    pub(super) written: Option<units::Bytes>,
}

/// The body of an answer.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// With gzip.
    pub(super) compressed: bool,
}

/// Rendered bodies of one snapshot in one second, compressed and not. The second counts since ages are in them.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// The sample's time, and the second in which it is shown.
    of: Option<(Timestamp, i64)>,
    /// What was requested, whether compressed if possible, and the body.
    bodies: Vec<(Resource, bool, Body)>,
}

/// Bodies that are cached at most: all formats and pages, and some explanations of one layer.
const BODIES: usize = 32;
/// Their bytes. What all layers of a node with 5,000 images explain is 3 MiB.
const BYTES: usize = 4 << 20;
/// What is shorter fits into one packet anyway.
const WORTH_COMPRESSING: usize = 1 << 10;

/// What the answer to one request is made from.
pub(super) struct RequestContext<'a> {
    pub(super) cache: &'a Cache,
    /// `None` before the first sample.
    pub(super) snapshot: Option<&'a Snapshot>,
    pub(super) now: Timestamp,
    /// Whether the client wants answers compressed.
    pub(super) gzip: bool,
}

impl RequestContext<'_> {
    /// What is known now; `None` before the first sample.
    pub(super) fn report(&self) -> Option<Report> {
        self.snapshot.map(|snapshot| Report::new(snapshot, self.now))
    }

    /// The body of a resource.
    pub(super) fn body<E>(&self, resource: Resource, render: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Body, E> {
        let Some(snapshot) = self.snapshot else { return render().map(|plain| Body::new(plain, self.gzip)) };
        self.cache.body((snapshot.sample.at, self.now.micros().div_euclid(1_000_000)), resource, self.gzip, render)
    }
}

impl Cache {
    /// The body of a resource, rendered unless it is cached. What cannot be rendered is not cached.
    fn body<E>(
        &self,
        of: (Timestamp, i64),
        resource: Resource,
        gzip: bool,
        render: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Body, E> {
        // A panic while the lock was held has left bodies that are whole or absent.
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.of != Some(of) {
            *entries = Entries { of: Some(of), bodies: Vec::new() };
        }
        if let Some(body) = entries.find(&resource, gzip) {
            return Ok(body);
        }
        let body = match entries.find(&resource, false) {
            Some(plain) => Body::new(plain.bytes, gzip),
            // Boxed, so that no more is cached than is counted.
            None => Body::new(render()?.into_boxed_slice(), gzip),
        };
        if entries.has_room_for(&body) {
            entries.bodies.push((resource, gzip, body.clone()));
        }
        Ok(body)
    }
}

impl Entries {
    fn find(&self, resource: &Resource, gzip: bool) -> Option<Body> {
        let known = self.bodies.iter().find(|(known, compressed, _)| known == resource && *compressed == gzip);
        known.map(|(.., body)| body.clone())
    }

    fn has_room_for(&self, body: &Body) -> bool {
        let bytes: usize = self.bodies.iter().map(|(.., body)| body.bytes.len()).sum();
        self.bodies.len() < BODIES && bytes + body.bytes.len() <= BYTES
    }
}

impl Body {
    /// Compressed where that is wanted and worth it.
    pub(super) fn new(plain: impl Into<Bytes> + AsRef<[u8]>, gzip: bool) -> Self {
        let compressed = gzip && plain.as_ref().len() >= WORTH_COMPRESSING;
        let bytes = if compressed { compress(plain.as_ref()).into() } else { plain.into() };
        Self { bytes, compressed }
    }
}

/// At the quickest level: an answer is compressed once and soon thrown away, and repeats itself so much that the best saves little
/// more.
fn compress(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::fast());
    // Writing to memory cannot fail.
    encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap_or_default()
}

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// May be kept, and must be asked for each time.
pub(super) const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
/// For what is no page: nothing may be loaded, framed or sent anywhere.
const DENY_ALL: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// An answer whose body depends on whether the client takes it compressed.
pub(super) fn compressible(body: Body, content_type: &'static str) -> Response<Full<Bytes>> {
    let mut response = response(body.bytes, content_type);
    let headers = response.headers_mut();
    if body.compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

/// An answer of one line of text.
pub(super) fn plain(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = response(body, "text/plain; charset=utf-8");
    *response.status_mut() = status;
    response
}

/// An answer with the headers that every one has.
pub(super) fn response(body: impl Into<Bytes>, content_type: &'static str) -> Response<Full<Bytes>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::metrics::Format::Text;
    use std::cell::Cell;
    use std::convert::Infallible;

    const NOW: (Timestamp, i64) = (Timestamp::from_micros(5), 7);

    /// Bodies that are all of one length, and how often one was rendered.
    struct Kitchen {
        cache: Cache,
        length: usize,
        count: Cell<usize>,
    }

    impl Kitchen {
        fn of(length: usize) -> Self {
            Self { cache: Cache::default(), length, count: Cell::new(0) }
        }

        fn body(&self, of: (Timestamp, i64), resource: Resource, gzip: bool) -> Body {
            let render = || {
                self.count.set(self.count.get() + 1);
                Ok::<_, Infallible>(vec![b'x'; self.length])
            };
            let Ok(body) = self.cache.body(of, resource, gzip, render);
            body
        }

        fn cached(&self) -> usize {
            self.cache.entries.lock().unwrap().bodies.iter().map(|(.., body)| body.bytes.len()).sum()
        }
    }

    fn written(bytes: u64) -> Resource {
        Resource::Explain(Parameters { written: Some(units::Bytes::new(bytes)), ..Parameters::default() })
    }

    #[test]
    fn the_same_is_rendered_once_in_a_second_compressed_or_not() {
        let kitchen = Kitchen::of(5_000);
        for _ in 0..3 {
            assert_eq!(kitchen.body(NOW, Resource::Metrics(Text), false).bytes.len(), 5_000);
            let compressed = kitchen.body(NOW, Resource::Metrics(Text), true);
            assert!(compressed.compressed && compressed.bytes.len() < 500);
        }
        assert_eq!(kitchen.count.get(), 1);
        kitchen.body(NOW, Resource::Page, true);
        assert_eq!(kitchen.count.get(), 2);
        for later in [(NOW.0, 8), (Timestamp::from_micros(6), 8)] {
            kitchen.body(later, Resource::Page, true);
            assert_eq!(kitchen.cache.entries.lock().unwrap().bodies.len(), 1);
        }
        assert_eq!(kitchen.count.get(), 4);
    }

    #[test]
    fn what_is_short_is_not_compressed() {
        let body = Kitchen::of(WORTH_COMPRESSING - 1).body(NOW, Resource::Snapshot, true);
        assert!(!body.compressed && body.bytes.len() == WORTH_COMPRESSING - 1);
    }

    #[test]
    fn what_is_cached_is_bounded_in_number_and_bytes() {
        let kitchen = Kitchen::of(10);
        for bytes in 0..100 {
            kitchen.body(NOW, written(bytes), false);
        }
        assert_eq!(kitchen.cached(), BODIES * 10);
        let kitchen = Kitchen::of(3 << 20);
        for bytes in 0..10 {
            assert_eq!(kitchen.body(NOW, written(bytes), false).bytes.len(), 3 << 20);
        }
        assert_eq!(kitchen.cached(), 3 << 20);
    }

    #[test]
    fn an_error_is_not_cached() {
        let cache = Cache::default();
        assert_eq!(cache.body(NOW, Resource::Page, false, || Err("no")).unwrap_err(), "no");
        assert!(cache.body(NOW, Resource::Page, false, || Ok::<_, Infallible>(vec![1])).is_ok());
    }
}
