//! A shell in a seat: what the person types goes in, what it prints comes out, neither waits for the other.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::talk::Host;
use super::watch::left;
use crate::domain::ids::SeatId;
use crate::domain::role::Actor;
use crate::engine::handle::{ShellInput, ShellSession};
use crate::wire::codec::Frame;
use crate::wire::message::{Event, ShellWord};
use crate::wire::stream::{Connection, FrameReader, FrameWriter};

pub async fn shell<S>(
    connection: Connection<S>,
    actor: Actor,
    seat: SeatId,
    (cols, rows): (u16, u16),
    host: &Host,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    let Connection { mut reader, mut writer } = connection;
    let opened = tokio::select! {
        ended = left(&mut reader) => return ended,
        opened = host.handle.shell(actor, seat, cols, rows) => opened,
    };
    let ShellSession { output, input } = match opened {
        Ok(session) => session,
        Err(denial) => return writer.message(&Event::from(denial)).await,
    };
    writer.message(&Event::Opened).await?;
    tokio::select! {
        () = host.shutdown.cancelled() => writer.message(&Event::End).await,
        typed = type_in(&mut reader, input) => typed,
        printed = print_out(output, &mut writer) => printed,
    }
}

/// Ends when the person leaves. A shell that no longer takes input ends through its output.
async fn type_in<S: AsyncRead>(reader: &mut FrameReader<S>, input: mpsc::Sender<ShellInput>) -> io::Result<()> {
    while let Some(frame) = reader.next().await? {
        let typed = match frame {
            Frame::Data(bytes) => ShellInput::Data(bytes),
            message @ Frame::Message(_) => match message.parse()? {
                ShellWord::Resize { cols, rows } => ShellInput::Resize { cols, rows },
                ShellWord::End => return Ok(()),
            },
        };
        if input.send(typed).await.is_err() {
            return std::future::pending().await;
        }
    }
    Ok(())
}

async fn print_out<S: AsyncWrite>(mut output: mpsc::Receiver<Bytes>, writer: &mut FrameWriter<S>) -> io::Result<()> {
    while let Some(bytes) = output.recv().await {
        writer.data(bytes).await?;
    }
    writer.message(&Event::End).await
}
