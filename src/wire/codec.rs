//! Frames: a four-byte big-endian length, one byte that says what follows, then a message or raw bytes.
//!
//! Knows: lengths, kinds and the cap. Must not know: what a message means.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};

/// Largest frame, bytes: a snapshot of several thousand seats fits, a length made of garbage does not.
pub const FRAME_MAX: usize = 8 * 1024 * 1024;
/// Largest frame before the handshake is over, bytes: a greeting is short, and a stranger gets no more memory.
pub const HELLO_MAX: usize = 4 * 1024;
/// Largest piece of a byte stream in one frame, bytes: small enough that a key press waits for one piece only.
pub const DATA_MAX: usize = 64 * 1024;

const MESSAGE: u8 = b'm';
const DATA: u8 = b'd';

/// What travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One message in JSON.
    Message(Bytes),
    /// A piece of a log or a shell, as it is.
    Data(Bytes),
}

impl Frame {
    /// A message as a frame.
    ///
    /// # Errors
    /// When the message cannot be written as JSON.
    pub fn message(message: &impl Serialize) -> io::Result<Self> {
        Ok(Self::Message(serde_json::to_vec(message)?.into()))
    }

    /// The message in the frame.
    ///
    /// # Errors
    /// When the frame holds raw bytes, or another message than the expected ones.
    pub fn parse<T: DeserializeOwned>(&self) -> io::Result<T> {
        match self {
            Self::Message(json) => serde_json::from_slice(json).map_err(|error| bad(format!("bad message: {error}"))),
            Self::Data(_) => Err(bad("raw bytes where a message belongs")),
        }
    }
}

/// Splits a byte stream into frames and back.
#[derive(Debug)]
pub struct FrameCodec(LengthDelimitedCodec);

impl FrameCodec {
    /// A codec that takes frames of at most `max` bytes, the kind included.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self(LengthDelimitedCodec::builder().max_frame_length(max).new_codec())
    }

    /// Changes the cap for the frames that follow.
    pub fn set_max(&mut self, max: usize) {
        self.0.set_max_frame_length(max);
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, source: &mut BytesMut) -> io::Result<Option<Frame>> {
        let Some(mut frame) = self.0.decode(source)? else {
            return Ok(None);
        };
        if frame.is_empty() {
            return Err(bad("an empty frame"));
        }
        match frame.get_u8() {
            MESSAGE => Ok(Some(Frame::Message(frame.freeze()))),
            DATA => Ok(Some(Frame::Data(frame.freeze()))),
            kind => Err(bad(format!("a frame of the unknown kind {kind:#04x}"))),
        }
    }
}

impl Encoder<Frame> for FrameCodec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame, target: &mut BytesMut) -> io::Result<()> {
        let (kind, body) = match frame {
            Frame::Message(body) => (MESSAGE, body),
            Frame::Data(body) => (DATA, body),
        };
        let length = body.len() + 1;
        let cap = self.0.max_frame_length();
        if length > cap {
            return Err(bad(format!("a frame of {length} bytes is over the cap of {cap}")));
        }
        let header = u32::try_from(length).map_err(|_| bad("a frame over four gigabytes"))?;
        target.reserve(4 + length);
        target.put_u32(header);
        target.put_u8(kind);
        target.put_slice(&body);
        Ok(())
    }
}

pub(super) fn bad(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let body = prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        let frame = (any::<bool>(), body).prop_map(|(message, body)| {
            if message {
                Frame::Message(body)
            } else {
                Frame::Data(body)
            }
        });
        prop::collection::vec(frame, 0..8)
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(frames in frames(), cuts in prop::collection::vec(1_usize..40, 1..40)) {
            let mut codec = FrameCodec::new(FRAME_MAX);
            let mut sent = BytesMut::new();
            for frame in &frames {
                codec.encode(frame.clone(), &mut sent).unwrap();
            }
            let (mut arrived, mut got, mut cuts) = (BytesMut::new(), Vec::new(), cuts.iter().cycle());
            while !sent.is_empty() {
                let piece = sent.split_to((*cuts.next().unwrap()).min(sent.len()));
                arrived.extend_from_slice(&piece);
                while let Some(frame) = codec.decode(&mut arrived).unwrap() {
                    got.push(frame);
                }
            }
            prop_assert_eq!(got, frames);
        }

        #[test]
        fn garbage_is_an_error_or_waits_but_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut source = BytesMut::from(&bytes[..]);
            let mut codec = FrameCodec::new(HELLO_MAX);
            while let Ok(Some(_)) = codec.decode(&mut source) {}
        }
    }

    #[test]
    fn the_cap_holds_both_ways() {
        let mut codec = FrameCodec::new(10);
        let mut bytes = BytesMut::new();
        codec
            .encode(Frame::Data(Bytes::from_static(b"123456789")), &mut bytes)
            .unwrap();
        assert_eq!(&bytes[..], b"\0\0\0\x0ad123456789");
        assert!(
            codec
                .encode(Frame::Data(Bytes::from_static(b"1234567890")), &mut bytes)
                .is_err()
        );
        assert!(codec.decode(&mut BytesMut::from(&b"\0\0\0\x0bd"[..])).is_err());
    }

    #[test]
    fn unknown_kinds_and_empty_frames_are_refused() {
        let mut codec = FrameCodec::new(FRAME_MAX);
        assert!(codec.decode(&mut BytesMut::from(&b"\0\0\0\0"[..])).is_err());
        assert!(codec.decode(&mut BytesMut::from(&b"\0\0\0\x02xy"[..])).is_err());
    }
}
