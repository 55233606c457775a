//! How much may a client take? Every limit of the server, and the stream that enforces the one hyper does not have: a client
//! that does not read.

use crate::time::Span;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Limits of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Time for a client to send the header of a request, the wait for the next request on an open connection included.
    pub header_timeout: Span,
    /// Time for one connection to take a part of an answer.
    pub write_timeout: Span,
    /// Longest header of a request, in bytes; hyper's least is 8,192.
    pub header_bytes: usize,
    /// Time for requests in flight to end after the shutdown signal.
    pub drain_timeout: Span,
}

/// 512 connections of at most about 16 KiB each are 8 MiB; a scrape takes far less than a second of any of the times.
impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            header_timeout: Span::from_secs(10),
            write_timeout: Span::from_secs(10),
            header_bytes: 16 << 10,
            drain_timeout: Span::from_secs(5),
        }
    }
}

/// A stream on which a write that makes no progress fails after a while.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    limit: Span,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) const fn new(stream: S, limit: Span) -> Self {
        Self { stream, limit, waiting: None }
    }

    fn write_with<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>>
    where
        S: Unpin,
    {
        if let Poll::Ready(done) = write(Pin::new(&mut self.stream), context) {
            self.waiting = None;
            return Poll::Ready(done);
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit.to_std())));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write_with(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write_with(context, |stream, context| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().write_with(context, tokio::io::AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().write_with(context, tokio::io::AsyncWrite::poll_shutdown)
    }
}
