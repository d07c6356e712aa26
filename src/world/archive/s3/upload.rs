//! Writing an object: small ones in one piece, larger ones part by part, in constant memory.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use s3::serde_types::Part;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

use super::super::blocking::blocking;
use super::super::object::Stop;
use super::super::trouble::called_off;
use super::S3;
use super::trouble::{Trouble, fault};
use crate::domain::fault::Fault;

/// S3 takes no more parts of one object.
const PARTS_MAX: u32 = 10_000;
/// Bytes of a part that are handed to the network at once: how finely progress is seen.
const PIECE: usize = 64 * 1024;

/// A piece of an object.
enum Piece {
    /// One that others follow.
    Full(Bytes),
    /// The last, which may be empty.
    Last(Bytes),
}

/// Room in memory for one piece; whoever sent it gives it back. Empty, and with the piece's memory where that is free again.
struct Room(BytesMut);

impl Room {
    /// The memory of a piece that was sent; none of it while somebody still holds a part of it.
    fn of(sent: Bytes) -> Self {
        let mut memory = sent.try_into_mut().unwrap_or_default();
        memory.clear();
        Self(memory)
    }
}

/// Cuts what is written into pieces of one size, as long as there is room for them.
struct Cutter {
    size: usize,
    /// None before a piece is begun.
    full: Option<BytesMut>,
    to: mpsc::Sender<Piece>,
    rooms: mpsc::Receiver<Room>,
}

fn not_taken() -> io::Error {
    io::Error::other("the store does not take it")
}

impl Cutter {
    fn send(&mut self, last: bool) -> io::Result<()> {
        let bytes = self.full.take().unwrap_or_default().freeze();
        let piece = if last { Piece::Last(bytes) } else { Piece::Full(bytes) };
        self.to.blocking_send(piece).map_err(|_| not_taken())
    }
}

impl Write for Cutter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only when more comes is a full piece not the last one.
        if self.full.as_ref().is_some_and(|full| full.len() == self.size) {
            self.send(false)?;
        }
        let full = match &mut self.full {
            Some(full) => full,
            none => {
                let Room(memory) = self.rooms.blocking_recv().ok_or_else(not_taken)?;
                none.insert(memory)
            }
        };
        if full.len() + bytes.len() > full.capacity() {
            // Most objects are small: only a second writing takes a whole piece's memory.
            let first = self.size.min(bytes.len().max(PIECE));
            full.reserve(if full.is_empty() { first } else { self.size - full.len() });
        }
        let count = bytes.len().min(self.size - full.len());
        full.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// See [`S3::write`].
pub(super) async fn write<T, F>(store: &S3, key: &str, work: F) -> Result<T, Fault>
where
    T: Send + 'static,
    F: FnOnce(&mut dyn Write) -> Result<T, Stop> + Send + 'static,
{
    let (to, pieces) = mpsc::channel(1);
    let (back, rooms) = rooms(store.inner.settings.parts_in_flight as usize + 1);
    let size = usize::try_from(store.inner.settings.part_bytes).unwrap_or(usize::MAX);
    let worked = blocking(move |_| {
        let full = None;
        let mut cutter = Cutter { size, full, to, rooms };
        Ok(work(&mut cutter).and_then(|result| {
            cutter.send(true)?;
            Ok(result)
        }))
    });
    let (worked, sent) = tokio::join!(worked, send(store, key, pieces, back));
    let failed = |trouble| fault(&store.inner.settings, "store", key, trouble);
    match (worked?, sent) {
        (Ok(result), Ok(true)) => Ok(result),
        // The store's own word comes first: the work only saw that nobody took what it wrote.
        (_, Err(trouble)) => Err(failed(trouble)),
        (Err(Stop::Fault(fault)), Ok(_)) => Err(fault),
        (Err(Stop::Io(error)), Ok(_)) => Err(failed(Trouble::passing(error.to_string()))),
        (Ok(_), Ok(false)) => Err(called_off()),
    }
}

/// As many rooms as pieces may be in memory: those in flight, and the one that is being filled.
fn rooms(count: usize) -> (mpsc::Sender<Room>, mpsc::Receiver<Room>) {
    let (back, rooms) = mpsc::channel(count);
    for _ in 0..count {
        let _ = back.try_send(Room(BytesMut::new()));
    }
    (back, rooms)
}

/// Sends what comes; false when the work ended without a last piece, and then nothing is left.
async fn send(
    store: &S3,
    key: &str,
    mut pieces: mpsc::Receiver<Piece>,
    back: mpsc::Sender<Room>,
) -> Result<bool, Trouble> {
    let bytes = match pieces.recv().await {
        None => return Ok(false),
        Some(Piece::Full(bytes)) => return Upload::begin(store, key).await?.run(bytes, pieces, back).await,
        Some(Piece::Last(bytes)) => bytes,
    };
    let length = bytes.len() as u64;
    let put = store.again(|| async {
        let url = store.put_url(key, None).await?;
        put(store, &url, bytes.clone()).await
    });
    put.await?;
    confirm(store, key, length).await?;
    Ok(true)
}

/// The object must be there, as long as what was sent; else it goes.
async fn confirm(store: &S3, key: &str, length: u64) -> Result<(), Trouble> {
    let found = store.head(key).await?;
    if found == Some(length) {
        return Ok(());
    }
    let _ = store.delete(key).await;
    Err(Trouble::permanent(match found {
        None => "it took the object and does not have it".to_owned(),
        Some(found) => format!("it took {length} bytes and has {found}"),
    }))
}

/// A multipart upload. Dropping it before its end aborts it.
struct Upload {
    store: S3,
    key: String,
    id: String,
    over: bool,
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // Without a runtime the note in the journal does it at the next start.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (store, key, id) = (self.store.clone(), self.key.clone(), self.id.clone());
            runtime.spawn(async move { give_up(&store, &key, &id).await });
        }
    }
}

async fn give_up(store: &S3, key: &str, id: &str) {
    match store.abort(key, id).await {
        Ok(()) => store.inner.journal.forget(id),
        Err(trouble) => tracing::warn!(%trouble, key, "an unfinished upload stays until the next start"),
    }
}

impl Upload {
    /// Begins in a task of its own: when nobody waits any more, the answer still comes, and then the upload is dropped.
    async fn begin(store: &S3, key: &str) -> Result<Self, Trouble> {
        let (store, key) = (store.clone(), key.to_owned());
        let begun = async move {
            let id = store.initiate(&key).await?;
            let over = false;
            let upload = Self { store, key, id, over };
            upload.note().await?;
            Ok(upload)
        };
        tokio::spawn(begun.in_current_span())
            .await
            .unwrap_or_else(|_| Err(Trouble::passing("beginning an upload was called off")))
    }

    async fn note(&self) -> Result<(), Trouble> {
        let (store, full_key, id) = (self.store.clone(), self.store.full_key(&self.key), self.id.clone());
        let noted = tokio::task::spawn_blocking(move || store.inner.journal.note(&full_key, &id));
        let noted = noted.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        noted.map_err(|error| Trouble::permanent(format!("the upload could not be noted: {error}")))
    }

    async fn run(
        mut self,
        first: Bytes,
        pieces: mpsc::Receiver<Piece>,
        back: mpsc::Sender<Room>,
    ) -> Result<bool, Trouble> {
        let sent = match self.send_all(first, pieces, back).await {
            Ok(Some((parts, length))) => self.finish(&parts, length).await.map(|()| true),
            Ok(None) => Ok(false),
            Err(trouble) => Err(trouble),
        };
        if !self.over {
            self.over = true;
            give_up(&self.store, &self.key, &self.id).await;
        }
        sent
    }

    /// The parts and their length together; none when the work ended without a last piece.
    async fn send_all(
        &self,
        first: Bytes,
        mut pieces: mpsc::Receiver<Piece>,
        back: mpsc::Sender<Room>,
    ) -> Result<Option<(Vec<Part>, u64)>, Trouble> {
        let most = self.store.inner.settings.parts_in_flight as usize;
        let (mut sending, mut parts, mut length) = (JoinSet::new(), Vec::new(), 0);
        let (mut next, mut number) = (Some(Piece::Full(first)), 0);
        while let Some(piece) = next {
            let (bytes, last) = match piece {
                Piece::Full(bytes) => (bytes, false),
                Piece::Last(bytes) => (bytes, true),
            };
            length += bytes.len() as u64;
            number += 1;
            if number > PARTS_MAX {
                return Err(Trouble::permanent(format!(
                    "S3 takes {PARTS_MAX} parts of an object and no more: raise [archive.s3] part_size"
                )));
            }
            while sending.len() >= most {
                parts.push(joined(sending.join_next().await)?);
            }
            // The part's bytes are let go when it is sent: what is in memory is what is in flight.
            if !(last && bytes.is_empty()) {
                let again = bytes.clone();
                let part = send_part(self.store.clone(), self.key.clone(), self.id.clone(), number, bytes);
                let back = back.clone();
                sending.spawn(async move {
                    let sent = part.await;
                    let _ = back.try_send(Room::of(again));
                    sent
                });
            }
            next = if last { None } else { pieces.recv().await };
            if next.is_none() && !last {
                return Ok(None);
            }
        }
        while !sending.is_empty() {
            parts.push(joined(sending.join_next().await)?);
        }
        parts.sort_by_key(|part| part.part_number);
        Ok(Some((parts, length)))
    }

    /// Completes the upload. An answer that was lost may have been a yes, and what it is asked again is not what it was:
    /// the object decides.
    async fn finish(&mut self, parts: &[Part], length: u64) -> Result<(), Trouble> {
        if let Err(trouble) = self.store.complete(&self.key, &self.id, parts, length).await
            && self.store.head(&self.key).await? != Some(length)
        {
            return Err(trouble);
        }
        self.over = true;
        self.store.inner.journal.forget(&self.id);
        confirm(&self.store, &self.key, length).await
    }
}

fn joined(part: Option<Result<Result<Part, Trouble>, tokio::task::JoinError>>) -> Result<Part, Trouble> {
    match part {
        Some(Ok(result)) => result,
        _ => Err(Trouble::passing("sending a part was called off")),
    }
}

async fn send_part(store: S3, key: String, id: String, part_number: u32, bytes: Bytes) -> Result<Part, Trouble> {
    let sent = store.again(|| async {
        let url = store.put_url(&key, Some((&id, part_number))).await?;
        let etag = put(&store, &url, bytes.clone()).await?;
        etag.ok_or_else(|| Trouble::permanent("it gave a part no ETag"))
    });
    let etag = sent.await?;
    Ok(Part { etag, part_number })
}

/// Puts bytes to a URL as long as they move, and tells the tag that it was given.
async fn put(store: &S3, url: &str, bytes: Bytes) -> Result<Option<String>, Trouble> {
    let length = bytes.len();
    let moved = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&moved);
    let pieces = stream::unfold(bytes, move |mut left| {
        seen.fetch_add(1, Ordering::Relaxed);
        let piece = left.split_to(left.len().min(PIECE));
        std::future::ready((!piece.is_empty()).then_some((Ok::<_, io::Error>(piece), left)))
    });
    let request = store
        .inner
        .data
        .put(url)
        .header(reqwest::header::CONTENT_LENGTH, length);
    let request = if length == 0 {
        request
    } else {
        request.body(reqwest::Body::wrap_stream(pieces))
    };
    let answer = while_moving(request.send(), &moved, store.idle()).await??;
    if answer.status().is_success() {
        let etag = answer.headers().get(reqwest::header::ETAG);
        return Ok(etag.and_then(|etag| etag.to_str().ok()).map(str::to_owned));
    }
    Err(store.refusal(answer).await)
}

/// Waits for an answer as long as bytes move, and `idle` after the last did.
async fn while_moving<T>(answer: impl Future<Output = T>, moved: &AtomicU64, idle: Duration) -> Result<T, Trouble> {
    tokio::pin!(answer);
    let (mut last, mut since) = (moved.load(Ordering::Relaxed), Instant::now());
    loop {
        match tokio::time::timeout_at(since + idle, &mut answer).await {
            Ok(answer) => return Ok(answer),
            Err(_) if moved.load(Ordering::Relaxed) != last => {
                (last, since) = (moved.load(Ordering::Relaxed), Instant::now());
            }
            Err(_) => {
                let seconds = idle.as_secs();
                return Err(Trouble::passing(format!("it took no byte for {seconds} s")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_part_that_was_sent_is_used_again() {
        let part = || BytesMut::from(vec![7; 5000].as_slice()).freeze();
        let Room(memory) = Room::of(part());
        assert!(memory.is_empty() && memory.capacity() >= 5000);
        let sent = part();
        let held = sent.slice(..10);
        assert_eq!(Room::of(sent).0.capacity(), 0, "somebody still has a piece of it");
        assert_eq!(held, vec![7; 10]);
    }
}
