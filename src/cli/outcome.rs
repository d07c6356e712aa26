//! Running a changing command in front of a person: progress, the result, what is left.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::clean::visible;
use super::exit::{Exit, Problem, complain, print};
use super::progress::Progress;
use crate::domain::command::{Command, Left, Outcome};
use crate::domain::ids::RoomName;
use crate::wire::client::{Client, RunEvent};

/// Runs a command to its end and prints what came of it.
///
/// # Errors
/// When it failed or was refused, the agent went away, or the person pressed Ctrl-C; the agent then goes on.
pub async fn run(client: &Client, command: Command) -> Result<Exit, Problem> {
    let target = command.target();
    // Listened to from the beginning: between two reports it must not end this process by itself.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut running = client.start(command).await?;
    let mut progress = Progress::on_stderr();
    loop {
        let event = tokio::select! {
            event = running.next() => event,
            _ = interrupt.recv() => {
                progress.clear();
                return Err(goes_on(&target));
            }
        };
        match event {
            Ok(RunEvent::Progress(report)) => progress.show(&report),
            Ok(RunEvent::Done(outcome)) => {
                progress.clear();
                return tell(outcome);
            }
            Err(error) => {
                progress.clear();
                return Err(error.into());
            }
        }
    }
}

/// Starts a command and returns when the agent has accepted it.
///
/// # Errors
/// When it was refused, or the agent went away.
pub async fn detach(client: &Client, command: Command, room: &RoomName) -> Result<Exit, Problem> {
    let mut running = client.start(command).await?;
    let mut progress = Progress::on_stderr();
    loop {
        match running.next().await? {
            RunEvent::Done(outcome) => {
                progress.clear();
                return tell(outcome);
            }
            // Before it is accepted it concerns no seat yet: an image is being pulled, and that may fail.
            RunEvent::Progress(report) if report.total == 0 => progress.show(&report),
            RunEvent::Progress(_) => break progress.clear(),
        }
    }
    say(&format!(
        "Room {room} is opening: `labtop ls {room}` shows how far it is."
    ))?;
    Ok(Exit::Done)
}

fn goes_on(target: &str) -> Problem {
    Problem::new(
        Exit::Signal(2),
        format!("the agent goes on with {target}: `labtop ls` shows how far it is"),
    )
}

fn tell(outcome: Outcome) -> Result<Exit, Problem> {
    let exit = Exit::of_outcome(&outcome);
    match outcome {
        Outcome::Done { text } => say(&text)?,
        Outcome::Partly { text, left } => {
            say(&text)?;
            for left in &left {
                complain(&leftover(left));
            }
        }
        Outcome::Failed { fault } => return Err(fault.into()),
        Outcome::Refused { refusal } => return Err(refusal.into()),
    }
    Ok(exit)
}

/// One seat that is left, with the cause and the next step.
fn leftover(left: &Left) -> String {
    format!("labtop: {}: {}", left.seat, visible(&left.fault.to_string()))
}

fn say(text: &str) -> io::Result<()> {
    print(&format!("{}\n", visible(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fault::{Fault, FaultCode};

    #[test]
    fn what_is_left_has_its_cause_and_next_step() {
        let fault = Fault::new(FaultCode::Store, "the store is full\u{1b}[2J").hint("Free space, then repeat");
        let seat = "r/an".parse().unwrap();
        let line = leftover(&Left { seat, fault });
        assert_eq!(
            line,
            "labtop: r/an: the store is full\\u{1b}[2J. Free space, then repeat"
        );
    }
}
