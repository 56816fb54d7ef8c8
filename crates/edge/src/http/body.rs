//! Bodies with bounds: a request's may not pause too long, a response's end is seen.

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
#[error("the request body paused for too long")]
pub struct TooSlow;

/// A request's body that ends with an error when nothing comes for `gap`.
pub struct Paced<B> {
    inner: B,
    gap: Duration,
    /// Made when the body first pauses; most never do.
    timer: Option<Pin<Box<Sleep>>>,
    /// Seen by whoever turns the handler's answer into the client's.
    was_slow: Arc<AtomicBool>,
}

impl<B> Paced<B> {
    pub fn new(inner: B, gap: Duration, was_slow: Arc<AtomicBool>) -> Paced<B> {
        Paced { inner, gap, timer: None, was_slow }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for Paced<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.timer = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let gap = this.gap;
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + gap)));
        if timer.as_mut().poll(cx).is_ready() {
            this.was_slow.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(TooSlow.into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Counts a request as long as its answer is not wholly sent.
pub struct InFlight(Arc<AtomicU32>);

impl InFlight {
    pub fn enter(count: &Arc<AtomicU32>) -> InFlight {
        count.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(count))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response's body that keeps its request counted.
pub struct Counted<B> {
    inner: B,
    _in_flight: InFlight,
}

impl<B> Counted<B> {
    pub fn new(inner: B, in_flight: InFlight) -> Counted<B> {
        Counted { inner, _in_flight: in_flight }
    }
}

impl<B: Body + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
