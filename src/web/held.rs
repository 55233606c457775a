//! How much memory do answers take that clients have not taken yet? Each is counted until its last byte has left the process.

use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// A sum of bytes that are held, of one connection or of all.
pub(super) type Sum = Arc<AtomicUsize>;

/// Bytes that count in two sums until this is dropped.
#[derive(Debug)]
struct Weight {
    bytes: usize,
    sums: [Sum; 2],
}

impl Drop for Weight {
    fn drop(&mut self) {
        for sum in &self.sums {
            sum.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// A body that is counted.
#[derive(Debug)]
pub(super) struct Counted {
    body: Full<Bytes>,
    weight: Option<Weight>,
}

impl Counted {
    /// Counts `body` in the sum of its connection and in that of all.
    pub(super) fn new(body: Full<Bytes>, sums: [Sum; 2]) -> Self {
        let bytes = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        for sum in &sums {
            sum.fetch_add(bytes, Ordering::Relaxed);
        }
        Self { body, weight: Some(Weight { bytes, sums }) }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        Pin::new(&mut this.body).poll_frame(context).map_ok(|frame| {
            frame.map_data(|bytes| match this.weight.take() {
                // hyper keeps the bytes after it has dropped the body; the weight goes with them.
                Some(weight) => Bytes::from_owner(Weighed { bytes, _weight: weight }),
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

struct Weighed {
    bytes: Bytes,
    _weight: Weight,
}

impl AsRef<[u8]> for Weighed {
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
        let sums = [Sum::default(), Sum::default()];
        let held = || [sums[0].load(Ordering::Relaxed), sums[1].load(Ordering::Relaxed)];
        let mut body = Counted::new(Full::new(Bytes::from_static(b"0123456789")), sums.clone());
        assert_eq!(body.size_hint().exact(), Some(10));
        let mut bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        assert_eq!(held(), [10, 10]);
        let rest = bytes.split_off(9);
        drop(bytes);
        assert_eq!((held(), &rest[..]), ([10, 10], &b"9"[..]));
        drop(rest);
        assert_eq!(held(), [0, 0]);
        drop(Counted::new(Full::new(Bytes::from_static(b"never sent")), sums.clone()));
        assert_eq!(held(), [0, 0]);
    }
}
