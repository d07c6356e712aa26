//! One conversation: greeting, request, then whatever the request is served by.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{doors, requests, shell, watch};
use crate::domain::ids::InstanceId;
use crate::domain::role::Actor;
use crate::engine::handle::Handle;
use crate::wire::message::{Greeting, Hello, PROTOCOL, Request, UnwelcomeCode, Welcome, version};
use crate::wire::stream::Connection;

/// What every conversation needs of its agent.
#[derive(Debug)]
pub struct Host {
    /// The way to the engine.
    pub handle: Handle,
    /// Whose agent it is.
    pub instance: InstanceId,
    /// Ends all conversations.
    pub shutdown: CancellationToken,
}

/// Serves one client over any byte stream, until one side leaves or the request is done.
///
/// # Errors
/// When the client breaks the protocol, or stops reading. There is nobody left to tell; log it.
pub async fn talk<S>(stream: S, actor: Actor, host: &Host) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    let mut connection = Connection::new(stream);
    greet(&mut connection, &actor, host).await?;
    // From here on somebody is attached, so that a detached agent does not end under them.
    let _attached = host.handle.attach();
    let request: Request = connection.reader.next_promptly().await?;
    connection.reader.distrust();
    match request {
        Request::Watch => watch::watch(connection, actor, host).await,
        Request::Run { command } => requests::run(connection, actor, command, host).await,
        Request::Ask { query } => requests::ask(connection, actor, query, host).await,
        Request::Logs { seat, tail, follow } => requests::logs(connection, actor, (seat, tail, follow), host).await,
        Request::Fetch { id, excerpt } => requests::fetch(connection, actor, id, excerpt, host).await,
        Request::Doors => doors::doors(connection, &actor, host).await,
        Request::Knock { knock } => doors::knock(connection, actor, knock, host).await,
        Request::Backup => requests::backup(connection, actor, host).await,
        Request::Shell { seat, cols, rows } => shell::shell(connection, actor, seat, (cols, rows), host).await,
    }
}

/// Answers a fresh connection with a refusal.
pub(super) async fn refuse<S: AsyncRead + AsyncWrite>(stream: S, code: UnwelcomeCode, text: &str) {
    let mut connection = Connection::new(stream);
    let _ = unwelcome(&mut connection, code, text).await;
}

async fn greet<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    actor: &Actor,
    host: &Host,
) -> io::Result<()> {
    match connection.reader.next_promptly::<Hello>().await {
        Ok(hello) if hello.protocol == PROTOCOL => {}
        Ok(hello) => {
            let text = mismatch(&hello);
            unwelcome(connection, UnwelcomeCode::Protocol, &text).await?;
            return Err(io::Error::other(text));
        }
        Err(error) => {
            unwelcome(
                connection,
                UnwelcomeCode::Protocol,
                &format!("that was no greeting: {error}"),
            )
            .await?;
            return Err(error);
        }
    }
    let welcome = Welcome {
        protocol: PROTOCOL,
        version: version(),
        instance: host.instance.clone(),
        pid: std::process::id(),
        rights: Some(actor.rights.clone()),
    };
    connection.writer.message(&Greeting::Welcome(welcome)).await?;
    connection.reader.trust();
    Ok(())
}

async fn unwelcome<S>(connection: &mut Connection<S>, code: UnwelcomeCode, text: &str) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    let text = text.to_owned();
    connection.writer.message(&Greeting::Unwelcome { code, text }).await
}

fn mismatch(hello: &Hello) -> String {
    format!(
        "the agent is labtop {} and speaks protocol {PROTOCOL}, this client is labtop {} and speaks {}: \
         stop the agent (pid {}) and start it again from the version you want; rooms go on meanwhile",
        version(),
        crate::domain::ids::quoted(&hello.version),
        hello.protocol,
        std::process::id(),
    )
}
