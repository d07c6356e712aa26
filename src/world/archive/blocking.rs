//! Work that blocks, on a thread of its own, which learns when nobody waits for it any more.

use tokio::sync::oneshot;

use super::trouble;
use crate::domain::fault::Fault;

/// Whether somebody still waits for the result.
pub(super) type Wanted<'a> = &'a dyn Fn() -> bool;

/// Runs work that blocks. When the future is dropped, `wanted` becomes false.
pub(super) async fn blocking<T, F>(work: F) -> Result<T, Fault>
where
    T: Send + 'static,
    F: FnOnce(Wanted<'_>) -> Result<T, Fault> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || {
        let _span = span.entered();
        let result = work(&|| !reply.is_closed());
        let _ = reply.send(result);
    });
    answer.await.unwrap_or_else(|_| Err(trouble::called_off()))
}
