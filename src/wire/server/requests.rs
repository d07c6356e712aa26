//! Commands, questions and logs.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use super::talk::Host;
use super::watch::left;
use crate::domain::command::{Command, Excerpt, Query};
use crate::domain::fault::{Denial, Fault, FaultCode};
use crate::domain::ids::{ArchiveId, SeatId};
use crate::domain::role::Actor;
use crate::engine::handle::{CommandEvent, LogStream};
use crate::wire::message::Event;
use crate::wire::stream::{Connection, FrameWriter};

/// Runs a command and tells how it goes. When the client leaves, the command goes on, and this conversation stays
/// until it is done, so that a detached agent counts somebody as attached.
pub async fn run<S>(connection: Connection<S>, actor: Actor, command: Command, host: &Host) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    let Connection { mut reader, writer } = connection;
    let mut writer = Some(writer);
    let mut events = host.handle.run(actor, command).await;
    loop {
        // An outcome that is there goes before a shutdown that came with it.
        let event = tokio::select! {
            biased;
            event = events.recv() => event.unwrap_or_else(|| CommandEvent::Done(stopping().into())),
            _ = left(&mut reader), if writer.is_some() => {
                writer = None;
                continue;
            }
            () = host.shutdown.cancelled() => CommandEvent::Done(stopping().into()),
        };
        let done = matches!(event, CommandEvent::Done(_));
        if let Some(to) = &mut writer
            && let Err(error) = to.message(&told(event)).await
        {
            tracing::debug!(%error, "a client left before its command was done");
            writer = None;
        }
        if done {
            return Ok(());
        }
    }
}

fn told(event: CommandEvent) -> Event<'static> {
    match event {
        CommandEvent::Progress(report) => Event::Progress(report),
        CommandEvent::Done(outcome) => Event::Done(outcome),
    }
}

fn stopping() -> Fault {
    Fault::new(FaultCode::Cancelled, "the agent stopped before this was done")
        .hint("What was asked stands in the ledger: start the agent again and it goes on")
}

/// Answers a question.
pub async fn ask<S>(connection: Connection<S>, actor: Actor, query: Query, host: &Host) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    let Connection { mut reader, mut writer } = connection;
    tokio::select! {
        ended = left(&mut reader) => ended,
        answer = host.handle.ask(actor, query) => writer.message(&Event::Answer(answer)).await,
    }
}

/// Sends a seat's log until it ends or the client leaves.
pub async fn logs<S>(
    connection: Connection<S>,
    actor: Actor,
    (seat, tail, follow): (SeatId, u32, bool),
    host: &Host,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    pipe(connection, host.handle.logs(actor, seat, tail, follow), host).await
}

/// Sends a part of a stored archive until it ends or the client leaves.
pub async fn fetch<S>(
    connection: Connection<S>,
    actor: Actor,
    id: ArchiveId,
    excerpt: Excerpt,
    host: &Host,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    pipe(connection, host.handle.fetch(actor, id, excerpt), host).await
}

/// Sends a copy of the ledger.
pub async fn backup<S>(connection: Connection<S>, actor: Actor, host: &Host) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    pipe(connection, host.handle.backup(actor), host).await
}

/// Opens a stream of bytes and sends it.
async fn pipe<S, O>(connection: Connection<S>, opening: O, host: &Host) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
    O: Future<Output = Result<LogStream, Denial>>,
{
    let Connection { mut reader, mut writer } = connection;
    let opened = tokio::select! {
        ended = left(&mut reader) => return ended,
        opened = opening => opened,
    };
    let stream = match opened {
        Ok(stream) => stream,
        Err(denial) => return writer.message(&Event::from(denial)).await,
    };
    writer.message(&Event::Opened).await?;
    tokio::select! {
        () = host.shutdown.cancelled() => writer.message(&Event::Failed(stopping())).await,
        ended = left(&mut reader) => ended,
        sent = send_all(stream, &mut writer) => sent,
    }
}

async fn send_all<S: AsyncWrite>(mut stream: LogStream, writer: &mut FrameWriter<S>) -> io::Result<()> {
    while let Some(piece) = stream.recv().await {
        match piece {
            Ok(bytes) => writer.data(bytes).await?,
            Err(fault) => return writer.message(&Event::Failed(fault)).await,
        }
    }
    writer.message(&Event::End).await
}
