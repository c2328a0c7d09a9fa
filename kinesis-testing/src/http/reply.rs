//! The body of an answer, which may break off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// An answer, promised whole; of one that is cut, only the first half arrives before the connection breaks.
#[derive(Debug)]
pub(super) struct Reply {
    promised: u64,
    rest: Option<Bytes>,
    breaks: bool,
}

impl Reply {
    pub(super) fn whole(body: Bytes) -> Self {
        Self { promised: body.len() as u64, rest: Some(body), breaks: false }
    }

    pub(super) fn cut(body: &Bytes) -> Self {
        Self { promised: body.len() as u64, rest: Some(body.slice(..body.len() / 2)), breaks: true }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.rest.take() {
            Some(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            _ if std::mem::take(&mut self.breaks) => Poll::Ready(Some(Err(broken()))),
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.breaks && self.rest.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}

/// The connection is to break, as it was asked for.
pub(super) fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the connection breaks, as it was asked to")
}
