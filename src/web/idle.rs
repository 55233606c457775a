//! How long is a client waited for? A stream that fails when nothing comes, or nothing is taken, within its limit.
//!
//! hyper has one time for the header of a request and the pause before it, and none for clients that do not read.

use super::limits::Limits;
use super::slots::ConnectionSlot;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream with limits on its pauses. Holds the slot of its connection.
#[derive(Debug)]
pub(super) struct IdleTimeout<S> {
    stream: S,
    slot: ConnectionSlot,
    limits: Limits,
    /// Nothing has been read since the last write.
    idle: bool,
    reading: Pin<Box<Sleep>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S: Unpin> IdleTimeout<S> {
    pub(super) fn new(stream: S, mut slot: ConnectionSlot, limits: Limits) -> Self {
        slot.progress();
        let reading = Box::pin(sleep(limits.header_timeout.to_std()));
        Self { stream, slot, limits, idle: false, reading, writing: None }
    }

    fn write_with<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = write(Pin::new(&mut self.stream), context) {
            self.writing = None;
            return Poll::Ready(done);
        }
        let limit = self.limits.write_timeout;
        let writing = self.writing.get_or_insert_with(|| Box::pin(sleep(limit.to_std())));
        ready!(writing.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn some_was_taken(&mut self, context: &mut Context<'_>) {
        self.slot.progress();
        if !self.idle {
            self.idle = true;
            self.reading.set(sleep(self.limits.idle_timeout.to_std()));
            // hyper need not read again before something comes, so the alarm is set here; the read that it wakes fails.
            if self.reading.as_mut().poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleTimeout<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(done) = Pin::new(&mut this.stream).poll_read(context, buffer) {
            if this.idle {
                this.idle = false;
                this.reading.set(sleep(this.limits.header_timeout.to_std()));
            }
            return Poll::Ready(done);
        }
        ready!(this.reading.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleTimeout<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let done = ready!(this.write_with(context, |stream, context| stream.poll_write(context, bytes)));
        this.some_was_taken(context);
        Poll::Ready(done)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let done = ready!(this.write_with(context, |stream, context| stream.poll_write_vectored(context, slices)));
        this.some_was_taken(context);
        Poll::Ready(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().write_with(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().write_with(context, AsyncWrite::poll_shutdown)
    }
}
