//! HTTP on the socket: one page, few connections, none for long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::page::Page;

/// Connections at a time: a collector or two, and a person who looks.
const CONNECTIONS: usize = 8;
/// How long one connection may last, whatever it does; a page takes a millisecond.
const LIFETIME: Duration = Duration::from_secs(10);
/// Pause after a failed accept (out of file descriptors), so that the failure does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves the page until `shutdown`.
pub async fn serve(listener: UnixListener, page: Page, shutdown: CancellationToken) {
    let router = Router::new().route("/metrics", get(show)).with_state(Arc::new(page));
    let listener = Few {
        listener,
        places: Arc::new(Semaphore::new(CONNECTIONS)),
    };
    let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned());
    if let Err(error) = served.await {
        tracing::warn!(%error, "figures are served no more");
    }
}

async fn show(State(page): State<Arc<Page>>) -> Response {
    match page.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::warn!(%error, "the figures have no form as text");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A listener that takes the next connection only when there is a place for it.
struct Few {
    listener: UnixListener,
    places: Arc<Semaphore>,
}

impl Listener for Few {
    type Io = Brief;
    type Addr = tokio::net::unix::SocketAddr;

    async fn accept(&mut self) -> (Brief, Self::Addr) {
        // The semaphore is never closed; should it be, there is no bound any more, and no failure.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let end = Box::pin(sleep(LIFETIME));
                    return (
                        Brief {
                            stream,
                            end,
                            _place: place,
                        },
                        address,
                    );
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection for figures could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when its time is over, so that one that hangs gives its place back.
struct Brief {
    stream: UnixStream,
    end: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Brief {
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Brief {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Brief {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
