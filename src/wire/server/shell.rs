//! A shell in a seat: what the person types goes in, what it prints comes out, neither waits for the other.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::talk::Host;
use super::watch::left;
use crate::domain::ids::SeatId;
use crate::domain::role::Actor;
use crate::engine::handle::{ShellInput, ShellSession};
use crate::wire::codec::Frame;
use crate::wire::message::{Event, ShellWord};
use crate::wire::stream::{Connection, FrameReader, FrameWriter};

/// Pieces of typing that wait for a program that does not read; what is typed beyond is lost, as on any terminal.
const TYPED_WAITING: usize = 64;

/// How often it is told that somebody types.
const TOUCH_EVERY: Duration = Duration::from_secs(5);

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
        opened = host.handle.shell(actor, seat.clone(), cols, rows) => opened,
    };
    let ShellSession { output, input } = match opened {
        Ok(session) => session,
        Err(denial) => return writer.message(&Event::from(denial)).await,
    };
    writer.message(&Event::Opened).await?;
    tokio::select! {
        () = host.shutdown.cancelled() => writer.message(&Event::End).await,
        typed = type_in(&mut reader, input, Touch::new(host, seat)) => typed,
        printed = print_out(output, &mut writer) => printed,
    }
}

/// Ends when the person leaves, also while a program in the shell reads nothing. A shell that no longer takes input ends
/// through its output.
async fn type_in<S: AsyncRead>(
    reader: &mut FrameReader<S>,
    input: mpsc::Sender<ShellInput>,
    mut touch: Touch<'_>,
) -> io::Result<()> {
    let mut waiting = VecDeque::new();
    loop {
        // What was typed before the person left is typed, as long as somebody reads.
        tokio::select! {
            biased;
            place = input.reserve(), if !waiting.is_empty() => match (place, waiting.pop_front()) {
                (Ok(place), Some(typed)) => place.send(typed),
                _ => return std::future::pending().await,
            },
            frame = reader.next() => match typed(frame?)? {
                Some(typed) if waiting.len() < TYPED_WAITING => {
                    touch.tell();
                    waiting.push_back(typed);
                }
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}

/// Tells now and then that somebody types, so that the seat does not count as idle.
struct Touch<'h> {
    host: &'h Host,
    seat: SeatId,
    told: Option<Instant>,
}

impl<'h> Touch<'h> {
    fn new(host: &'h Host, seat: SeatId) -> Self {
        Self { host, seat, told: None }
    }

    fn tell(&mut self) {
        if self.told.is_none_or(|at| at.elapsed() >= TOUCH_EVERY) {
            self.told = Some(Instant::now());
            self.host.handle.touch(self.seat.clone());
        }
    }
}

/// What the frame types; none when the person leaves.
fn typed(frame: Option<Frame>) -> io::Result<Option<ShellInput>> {
    match frame {
        None => Ok(None),
        Some(Frame::Data(bytes)) => Ok(Some(ShellInput::Data(bytes))),
        Some(message @ Frame::Message(_)) => Ok(match message.parse()? {
            ShellWord::Resize { cols, rows } => Some(ShellInput::Resize { cols, rows }),
            ShellWord::End => None,
        }),
    }
}

async fn print_out<S: AsyncWrite>(mut output: mpsc::Receiver<Bytes>, writer: &mut FrameWriter<S>) -> io::Result<()> {
    while let Some(bytes) = output.recv().await {
        writer.data(bytes).await?;
    }
    writer.message(&Event::End).await
}
