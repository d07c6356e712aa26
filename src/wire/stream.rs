//! A connection as two ends that send and receive frames, over anything that carries bytes.
//!
//! Knows: frames and timeouts. Must not know: what is asked or answered.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio_util::codec::{FramedRead, FramedWrite};

use super::codec::{DATA_MAX, FRAME_MAX, Frame, FrameCodec, HELLO_MAX};

/// How long the other side may take to read what is sent. A healthy one needs microseconds; a suspended board must
/// not hold memory and a place for ever.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other side may take to greet, or to say what it wants.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Both ends of a connection.
pub struct Connection<S> {
    /// What comes in.
    pub reader: FrameReader<S>,
    /// What goes out.
    pub writer: FrameWriter<S>,
}

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    /// Wraps a fresh byte stream. Until [`FrameReader::trust`] only short frames are taken.
    pub fn new(stream: S) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self {
            reader: FrameReader(FramedRead::new(read, FrameCodec::new(HELLO_MAX))),
            writer: FrameWriter(FramedWrite::new(write, FrameCodec::new(FRAME_MAX))),
        }
    }
}

/// The incoming end.
pub struct FrameReader<S>(FramedRead<ReadHalf<S>, FrameCodec>);

/// Longest frame of a person's typing, and a little.
const SMALL_MAX: usize = DATA_MAX + 64;

impl<S: AsyncRead> FrameReader<S> {
    /// Takes frames of full size from now on.
    pub fn trust(&mut self) {
        self.0.decoder_mut().set_max(FRAME_MAX);
    }

    /// Takes small frames alone again: what follows a request is a person's typing, or nothing.
    pub fn distrust(&mut self) {
        self.0.decoder_mut().set_max(SMALL_MAX);
    }

    /// The next frame, or `None` when the other side left between two frames. May be dropped while it waits:
    /// nothing is lost.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        self.0.next().await.transpose()
    }

    /// The next frame as a message, within [`HELLO_TIMEOUT`].
    pub async fn next_promptly<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let frame = tokio::time::timeout(HELLO_TIMEOUT, self.next())
            .await
            .map_err(|_| timed_out("nothing came", HELLO_TIMEOUT))??;
        frame.ok_or(io::ErrorKind::UnexpectedEof)?.parse()
    }
}

/// The outgoing end.
pub struct FrameWriter<S>(FramedWrite<WriteHalf<S>, FrameCodec>);

impl<S: AsyncWrite> FrameWriter<S> {
    /// Sends a message. An error, also a timeout, leaves the connection unusable.
    pub async fn message(&mut self, message: &impl Serialize) -> io::Result<()> {
        self.frame(Frame::message(message)?).await
    }

    /// Sends raw bytes, in pieces of a bounded size.
    pub async fn data(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(DATA_MAX));
            self.frame(Frame::Data(piece)).await?;
        }
        Ok(())
    }

    async fn frame(&mut self, frame: Frame) -> io::Result<()> {
        tokio::time::timeout(WRITE_TIMEOUT, self.0.send(frame))
            .await
            .map_err(|_| timed_out("the other side does not read", WRITE_TIMEOUT))?
    }
}

fn timed_out(what: &str, limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} within {} s", limit.as_secs()))
}
