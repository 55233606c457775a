//! What does an answer cost? Nothing anew, where the same was asked for in the same second: rendered bodies are kept for as long
//! as they are true.

use super::api::Parameters;
use crate::export::metrics::Format;
use crate::report::Report;
use crate::snapshot::Snapshot;
use crate::time::Timestamp;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// What is made from a snapshot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Metrics(Format),
    Page,
    Snapshot,
    Explain(Parameters),
}

/// The body of an answer.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// With gzip.
    pub(super) packed: bool,
}

/// Rendered bodies of one snapshot in one second, packed and not. The second counts since ages are in them.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The sample's time, and the second in which it is shown.
    of: Option<(Timestamp, i64)>,
    /// What was asked for, and whether packed if possible.
    bodies: Vec<(Asked, bool, Body)>,
}

/// Bodies that are kept at most: all formats and pages, and some questions for one layer.
const BODIES: usize = 32;
/// Their bytes. What all layers of a node with 5,000 images explain is 3 MiB.
const BYTES: usize = 4 << 20;
/// What is shorter fits into one packet anyway.
const WORTH_PACKING: usize = 1 << 10;

/// What one request sees.
pub(super) struct Look<'a> {
    pub(super) rendered: &'a Rendered,
    /// `None` before the first sample.
    pub(super) snapshot: Option<&'a Snapshot>,
    pub(super) now: Timestamp,
    /// Whether the client wants answers packed.
    pub(super) gzip: bool,
}

impl Look<'_> {
    /// What is known now; `None` before the first sample.
    pub(super) fn report(&self) -> Option<Report> {
        self.snapshot.map(|snapshot| Report::new(snapshot, self.now))
    }

    /// The body for what was asked.
    pub(super) fn body<E>(&self, asked: Asked, render: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Body, E> {
        let Some(snapshot) = self.snapshot else { return render().map(|plain| Body::new(plain, self.gzip)) };
        self.rendered.body((snapshot.sample.at, self.now.micros().div_euclid(1_000_000)), asked, self.gzip, render)
    }
}

impl Rendered {
    /// The body for what was asked, rendered unless it is kept. What cannot be rendered is not kept.
    fn body<E>(
        &self,
        of: (Timestamp, i64),
        asked: Asked,
        gzip: bool,
        render: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Body, E> {
        // A panic while the lock was held has left bodies that are whole or absent.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.of != Some(of) {
            *kept = Kept { of: Some(of), bodies: Vec::new() };
        }
        if let Some(body) = kept.find(&asked, gzip) {
            return Ok(body);
        }
        let body = match kept.find(&asked, false) {
            Some(plain) => Body::new(plain.bytes, gzip),
            // Boxed, so that no more is kept than is counted.
            None => Body::new(render()?.into_boxed_slice(), gzip),
        };
        if kept.has_room_for(&body) {
            kept.bodies.push((asked, gzip, body.clone()));
        }
        Ok(body)
    }
}

impl Kept {
    fn find(&self, asked: &Asked, gzip: bool) -> Option<Body> {
        let known = self.bodies.iter().find(|(known, packed, _)| known == asked && *packed == gzip);
        known.map(|(.., body)| body.clone())
    }

    fn has_room_for(&self, body: &Body) -> bool {
        let bytes: usize = self.bodies.iter().map(|(.., body)| body.bytes.len()).sum();
        self.bodies.len() < BODIES && bytes + body.bytes.len() <= BYTES
    }
}

impl Body {
    /// Packed where that is wanted and worth it.
    pub(super) fn new(plain: impl Into<Bytes> + AsRef<[u8]>, gzip: bool) -> Self {
        let packed = gzip && plain.as_ref().len() >= WORTH_PACKING;
        let bytes = if packed { self::packed(plain.as_ref()).into() } else { plain.into() };
        Self { bytes, packed }
    }
}

/// At the quickest level: an answer is packed once and soon thrown away, and repeats itself so much that the best saves little more.
fn packed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::fast());
    // Writing to memory cannot fail.
    encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::metrics::Format::Text;
    use crate::units;
    use std::cell::Cell;
    use std::convert::Infallible;

    const NOW: (Timestamp, i64) = (Timestamp::from_micros(5), 7);

    /// Bodies that are all of one length, and how often one was rendered.
    struct Kitchen {
        rendered: Rendered,
        length: usize,
        count: Cell<usize>,
    }

    impl Kitchen {
        fn of(length: usize) -> Self {
            Self { rendered: Rendered::default(), length, count: Cell::new(0) }
        }

        fn body(&self, of: (Timestamp, i64), asked: Asked, gzip: bool) -> Body {
            let render = || {
                self.count.set(self.count.get() + 1);
                Ok::<_, Infallible>(vec![b'x'; self.length])
            };
            let Ok(body) = self.rendered.body(of, asked, gzip, render);
            body
        }

        fn kept(&self) -> usize {
            self.rendered.kept.lock().unwrap().bodies.iter().map(|(.., body)| body.bytes.len()).sum()
        }
    }

    fn written(bytes: u64) -> Asked {
        Asked::Explain(Parameters { written: Some(units::Bytes::new(bytes)), ..Parameters::default() })
    }

    #[test]
    fn the_same_is_rendered_once_in_a_second_packed_or_not() {
        let kitchen = Kitchen::of(5_000);
        for _ in 0..3 {
            assert_eq!(kitchen.body(NOW, Asked::Metrics(Text), false).bytes.len(), 5_000);
            let packed = kitchen.body(NOW, Asked::Metrics(Text), true);
            assert!(packed.packed && packed.bytes.len() < 500);
        }
        assert_eq!(kitchen.count.get(), 1);
        kitchen.body(NOW, Asked::Page, true);
        assert_eq!(kitchen.count.get(), 2);
        for later in [(NOW.0, 8), (Timestamp::from_micros(6), 8)] {
            kitchen.body(later, Asked::Page, true);
            assert_eq!(kitchen.rendered.kept.lock().unwrap().bodies.len(), 1);
        }
        assert_eq!(kitchen.count.get(), 4);
    }

    #[test]
    fn what_is_short_is_not_packed() {
        let body = Kitchen::of(WORTH_PACKING - 1).body(NOW, Asked::Snapshot, true);
        assert!(!body.packed && body.bytes.len() == WORTH_PACKING - 1);
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_bytes() {
        let kitchen = Kitchen::of(10);
        for bytes in 0..100 {
            kitchen.body(NOW, written(bytes), false);
        }
        assert_eq!(kitchen.kept(), BODIES * 10);
        let kitchen = Kitchen::of(3 << 20);
        for bytes in 0..10 {
            assert_eq!(kitchen.body(NOW, written(bytes), false).bytes.len(), 3 << 20);
        }
        assert_eq!(kitchen.kept(), 3 << 20);
    }

    #[test]
    fn an_error_is_not_kept() {
        let rendered = Rendered::default();
        assert_eq!(rendered.body(NOW, Asked::Page, false, || Err("no")).unwrap_err(), "no");
        assert!(rendered.body(NOW, Asked::Page, false, || Ok::<_, Infallible>(vec![1])).is_ok());
    }
}
