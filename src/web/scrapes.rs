//! What does a scrape cost? Nothing anew, where the same was asked for in the same second: rendered bodies are kept for as long
//! as they are true.

use crate::export::metrics::{Budget, Format, render};
use crate::snapshot::Snapshot;
use crate::time::Timestamp;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Rendered scrapes of one snapshot in one second, at most one for each format, packed and not. The second counts since ages
/// are in it.
#[derive(Debug, Default)]
pub(super) struct Scrapes {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The sample's time, and the second in which it is shown.
    of: Option<(Timestamp, i64)>,
    bodies: Vec<(Format, bool, Bytes)>,
}

impl Scrapes {
    /// The body of a scrape in this format.
    pub(super) fn body(
        &self,
        snapshot: Option<&Snapshot>,
        now: Timestamp,
        budget: Budget,
        format: Format,
        gzip: bool,
    ) -> Bytes {
        // A panic while the lock was held has left bodies that are whole or absent.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let of = snapshot.map(|snapshot| (snapshot.sample.at, now.micros().div_euclid(1_000_000)));
        if kept.of != of {
            *kept = Kept { of, bodies: Vec::new() };
        }
        let known = kept.bodies.iter().find(|(known, packed, _)| *known == format && *packed == gzip);
        if let Some((.., body)) = known.filter(|_| of.is_some()) {
            return body.clone();
        }
        let plain = render(snapshot, now, budget, format);
        let body = Bytes::from(if gzip { packed(&plain) } else { plain });
        if of.is_some() {
            kept.bodies.push((format, gzip, body.clone()));
        }
        body
    }
}

/// At the quickest level: a scrape is packed once and thrown away, and repeats itself so much that the best saves little more.
fn packed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::fast());
    // Writing to memory cannot fail.
    encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap_or_default()
}
