//! A person's shell inside a seat, run as the seat's own user.

use std::io;
use std::time::Duration;

use bollard::exec::{CreateExecOptions, ResizeExecOptions};
use bollard::query_parameters::ContainerArchiveInfoOptionsBuilder;
use bytes::{Bytes, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::Docker;
use super::errors::OrGone;
use super::inside::kill_in;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::ContainerId;
use crate::domain::template::SeatUser;

/// Chunks that wait in either direction; a person is not faster, a flood of output makes the shell wait.
const CHUNKS_WAITING: usize = 64;
/// Most bytes of a chunk.
const CHUNK_BYTES: usize = 8 * 1024;
/// The better shell, when the seat has it.
const BASH: &str = "/bin/bash";
/// The one that every seat has.
const SH: &str = "/bin/sh";
/// What ends most programs at a prompt: interrupt, then end of input.
const FAREWELL: &[u8] = b"\x03\x04";
/// How long a left shell gets to end by itself.
const FAREWELL_LIMIT: Duration = Duration::from_millis(500);

/// What a person types into a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellInput {
    /// Bytes for its terminal.
    Data(Bytes),
    /// The person's terminal changed its size.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
}

/// An open shell. Dropping both ends, or only `input`, ends it.
#[derive(Debug)]
pub struct Shell {
    /// What the shell prints; ends when the shell does.
    pub output: mpsc::Receiver<Bytes>,
    /// What the person types.
    pub input: mpsc::Sender<ShellInput>,
}

impl Docker {
    /// Opens a shell in a running seat.
    ///
    /// # Errors
    /// When the seat does not run, has no shell, or the engine fails.
    pub async fn shell(
        &self,
        id: &ContainerId,
        user: SeatUser,
        workdir: &str,
        cols: u16,
        rows: u16,
    ) -> Result<Shell, Fault> {
        if self.look(id).await?.is_none() {
            return Err(Fault::new(FaultCode::Engine, "the seat's container is gone"));
        }
        let client = self.client()?.clone();
        let request = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(true),
            env: Some(vec!["TERM=xterm-256color".to_owned()]),
            cmd: Some(vec![self.best_shell(id).await?.to_owned()]),
            user: Some(format!("{}:{}", user.uid, user.gid)),
            working_dir: Some(workdir.to_owned()),
            ..Default::default()
        };
        let exec = self
            .change("making a shell", client.create_exec(id.as_str(), request))
            .await?
            .id;
        let (output, input) = tokio::io::split(self.start_raw(&exec).await?);
        let (to_person, from_shell) = mpsc::channel(CHUNKS_WAITING);
        let (from_person, to_shell) = mpsc::channel(CHUNKS_WAITING);
        let line = Line {
            docker: self.clone(),
            container: id.clone(),
            exec,
        };
        line.resize(cols, rows).await;
        let session = Session { line, output, input };
        tokio::spawn(session.run(to_person, to_shell));
        Ok(Shell {
            output: from_shell,
            input: from_person,
        })
    }

    /// Looked up from outside: a student may have replaced every program that could be asked.
    async fn best_shell(&self, id: &ContainerId) -> Result<&'static str, Fault> {
        let options = ContainerArchiveInfoOptionsBuilder::new().path(BASH).build();
        let call = self.client()?.get_container_archive_info(id.as_str(), Some(options));
        let found = self.read("looking for a shell", call).await.or_gone()?;
        Ok(if found.is_some() { BASH } else { SH })
    }
}

type Terminal = TokioIo<Upgraded>;

/// What names an exec'd shell on the engine.
struct Line {
    docker: Docker,
    container: ContainerId,
    exec: String,
}

struct Session {
    line: Line,
    output: ReadHalf<Terminal>,
    input: WriteHalf<Terminal>,
}

impl Session {
    /// Reading, typing and watching for the person's leave go on beside each other: a program that reads nothing must not
    /// keep anybody in.
    async fn run(self, to_person: mpsc::Sender<Bytes>, to_shell: mpsc::Receiver<ShellInput>) {
        let Self {
            line,
            mut output,
            mut input,
        } = self;
        let ended = tokio::select! {
            ended = print_out(&mut output, &to_person) => ended,
            () = type_in(&line, &mut input, to_shell) => false,
            () = to_person.closed() => false,
        };
        if !ended {
            line.end(output, input).await;
        }
    }
}

/// True when the shell has ended, false when nobody looks any more.
async fn print_out(output: &mut ReadHalf<Terminal>, to_person: &mpsc::Sender<Bytes>) -> bool {
    while let Some(bytes) = read(output).await {
        if to_person.send(bytes).await.is_err() {
            return false;
        }
    }
    true
}

/// Ends when the person leaves, or the shell takes nothing any more.
async fn type_in(line: &Line, input: &mut WriteHalf<Terminal>, mut to_shell: mpsc::Receiver<ShellInput>) {
    while let Some(typed) = to_shell.recv().await {
        match typed {
            ShellInput::Data(bytes) => {
                if write(input, &bytes).await.is_err() {
                    return;
                }
            }
            ShellInput::Resize { cols, rows } => line.resize(cols, rows).await,
        }
    }
}

async fn write(input: &mut WriteHalf<Terminal>, bytes: &[u8]) -> io::Result<()> {
    input.write_all(bytes).await?;
    input.flush().await
}

/// The next bytes that the shell printed; none at its end. May be dropped while it waits: nothing is lost.
async fn read(output: &mut ReadHalf<Terminal>) -> Option<Bytes> {
    let mut bytes = BytesMut::with_capacity(CHUNK_BYTES);
    match output.read_buf(&mut bytes).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(bytes.freeze()),
    }
}

impl Line {
    /// The engine leaves an exec'd program running when its terminal is closed, so it is asked to end, then ended.
    async fn end(&self, mut output: ReadHalf<Terminal>, mut input: WriteHalf<Terminal>) {
        let farewell = async {
            write(&mut input, FAREWELL).await?;
            while read(&mut output).await.is_some() {}
            io::Result::Ok(())
        };
        if let Ok(Ok(())) = tokio::time::timeout(FAREWELL_LIMIT, farewell).await {
            return;
        }
        if let Err(why) = self.hang_up().await {
            tracing::warn!(why, container = %self.container, "a left shell may still run in a seat");
        }
    }

    async fn resize(&self, cols: u16, rows: u16) {
        let Ok(client) = self.docker.client() else { return };
        let size = ResizeExecOptions {
            height: rows,
            width: cols,
        };
        if let Err(trouble) = self
            .docker
            .change("resizing a shell", client.resize_exec(&self.exec, size))
            .await
        {
            tracing::debug!(fault = %trouble.fault, "a shell keeps its size");
        }
    }

    /// Ends the shell's process on the engine's host, which must be this one. Its terminal goes with it.
    async fn hang_up(&self) -> Result<(), String> {
        let client = self.docker.client().map_err(|fault| fault.to_string())?;
        let looked = self
            .docker
            .read("looking at a shell", client.inspect_exec(&self.exec))
            .await;
        let found = looked.map_err(|trouble| trouble.fault.to_string())?;
        if found.running != Some(true) {
            return Ok(());
        }
        if !self.docker.is_local() {
            return Err("the engine is on another host".into());
        }
        let pid = found
            .pid
            .and_then(|pid| u32::try_from(pid).ok())
            .ok_or("it has no pid")?;
        kill_in(&self.container, pid)
    }
}
