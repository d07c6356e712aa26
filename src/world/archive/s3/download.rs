//! Reading an object from beginning to end. A connection that is cut or falls silent is taken up where it ended.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::super::blocking::blocking;
use super::super::object::Stop;
use super::S3;
use super::calls::pause;
use super::trouble::{Kind, Trouble, fault};
use crate::domain::fault::Fault;
use crate::pack::pieces::Pieces;

/// Pieces that may wait for whoever reads.
const PIECES: usize = 32;

/// A piece of an object, or its end.
enum Piece {
    Bytes(Bytes),
    End,
}

/// See [`S3::read`].
pub(super) async fn read<T, F>(store: &S3, key: &str, work: F) -> Result<Option<T>, Fault>
where
    T: Send + 'static,
    F: FnOnce(&mut dyn Read) -> Result<T, Stop> + Send + 'static,
{
    let (to, mut from) = mpsc::channel(PIECES);
    let failed = |trouble| fault(&store.inner.settings, "read", key, trouble);
    let answer = match begin(store, key).await {
        Ok(Some(answer)) => answer,
        Ok(None) => return Ok(None),
        Err(trouble) => return Err(failed(trouble)),
    };
    let worked = blocking(move |_| {
        let mut pieces = Pieces::new(move || match from.blocking_recv() {
            Some(Piece::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Piece::End) => Ok(None),
            None => Err(io::Error::other("the store gave no more")),
        });
        Ok(work(&mut pieces))
    });
    let (worked, fetched) = tokio::join!(worked, fetch(store, key, answer, to));
    fetched.map_err(failed)?;
    match worked? {
        Ok(result) => Ok(Some(result)),
        Err(Stop::Fault(fault)) => Err(fault),
        Err(Stop::Io(error)) => Err(failed(Trouble::permanent(error.to_string()))),
    }
}

async fn begin(store: &S3, key: &str) -> Result<Option<reqwest::Response>, Trouble> {
    match store.again(|| request(store, key, 0)).await {
        Ok(answer) => Ok(Some(answer)),
        Err(trouble) if trouble.kind == Kind::Missing => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

async fn request(store: &S3, key: &str, from: u64) -> Result<reqwest::Response, Trouble> {
    let url = store.get_url(key).await?;
    let mut request = store.inner.data.get(url);
    if from > 0 {
        request = request.header(reqwest::header::RANGE, format!("bytes={from}-"));
    }
    let silent = || Trouble::passing(format!("it said nothing for {} s", store.idle().as_secs()));
    let answer = tokio::time::timeout(store.idle(), request.send())
        .await
        .map_err(|_| silent())??;
    if answer.status().is_success() {
        return Ok(answer);
    }
    Err(store.refusal(answer).await)
}

/// Fetches to the end, or until nobody reads any more.
async fn fetch(store: &S3, key: &str, answer: reqwest::Response, to: mpsc::Sender<Piece>) -> Result<(), Trouble> {
    let (mut at, mut failures, mut answer) = (0, 0, Ok(answer));
    loop {
        let began = at;
        let taken = match answer {
            Ok(answer) => stream(store, answer, &mut at, &to).await,
            Err(trouble) => Err(trouble),
        };
        let Err(trouble) = taken else { return Ok(()) };
        failures = if at > began { 1 } else { failures + 1 };
        if trouble.kind != Kind::Passing || failures > store.inner.settings.retries {
            return Err(trouble);
        }
        tracing::debug!(%trouble, key, at, "a reading is taken up again");
        pause(failures).await;
        answer = request(store, key, at).await;
    }
}

async fn stream(store: &S3, answer: reqwest::Response, at: &mut u64, to: &mpsc::Sender<Piece>) -> Result<(), Trouble> {
    // Some stores answer a range with the whole: what is known already is passed over.
    let partial = answer.status() == reqwest::StatusCode::PARTIAL_CONTENT;
    let mut known = if partial { 0 } else { *at };
    let mut pieces = answer.bytes_stream();
    loop {
        let next = tokio::time::timeout(store.idle(), pieces.next()).await;
        let next = next.map_err(|_| Trouble::passing(format!("it gave no byte for {} s", store.idle().as_secs())))?;
        let Some(piece) = next else {
            let _ = to.send(Piece::End).await;
            return Ok(());
        };
        let mut bytes = piece?;
        let passed = usize::try_from(known).map_or(bytes.len(), |known| known.min(bytes.len()));
        bytes.advance(passed);
        known -= passed as u64;
        *at += bytes.len() as u64;
        if !bytes.is_empty() && to.send(Piece::Bytes(bytes)).await.is_err() {
            // Whoever reads has seen enough.
            return Ok(());
        }
    }
}
