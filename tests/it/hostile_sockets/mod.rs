//! What can a daemon inside a container do to us? It hangs, lies, talks for ever, or is no daemon at all: each of that costs its
//! own call, with a clear reason.
//!
//! The daemons here are fakes on real Unix sockets. The same calls were tried by hand against containerd 1.6 and 1.7 and
//! Docker 20.10 and 26.1.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a fake daemon that fails should fail the test; numbers are cut into bytes as protobuf and HTTP/2 want it"
)]

mod cri;
mod docker;
mod paths;
mod peer;
mod slow;
