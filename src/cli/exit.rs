//! Exit codes, and what is told with them.

use std::io::{self, Write};
use std::process::ExitCode;

use super::clean::visible;
use crate::domain::command::Outcome;
use crate::domain::fault::{Fault, FaultCode, Refusal, RefusalCode};
use crate::wire::client::{CallError, ConnectError};

/// How a verb ended: a stable contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: all of it is done.
    Done,
    /// 1: it failed.
    Failed,
    /// 2: the arguments or the configuration are wrong.
    Usage,
    /// 3: the role, or the agent's owner, does not permit it.
    Refused,
    /// 4: nothing listens, or Docker cannot be reached.
    Unreachable,
    /// 5: a part is done; what is left has been listed.
    Partly,
    /// Ended by the signal of that number; 128 and the number, as shells expect.
    Signal(u8),
}

impl Exit {
    /// The number of the exit status.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Unreachable => 4,
            Self::Partly => 5,
            Self::Signal(number) => 128 + number,
        }
    }

    /// What a fault means.
    #[must_use]
    pub fn of_fault(code: FaultCode) -> Self {
        match code {
            FaultCode::EngineUnreachable | FaultCode::EngineVersion => Self::Unreachable,
            _ => Self::Failed,
        }
    }

    /// What a refusal means.
    #[must_use]
    pub fn of_refusal(code: RefusalCode) -> Self {
        match code {
            RefusalCode::Role => Self::Refused,
            RefusalCode::Invalid => Self::Usage,
            RefusalCode::NotFound | RefusalCode::Conflict => Self::Failed,
        }
    }

    /// What the answer to a command means.
    #[must_use]
    pub fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Done { .. } => Self::Done,
            Outcome::Partly { .. } => Self::Partly,
            Outcome::Failed { fault } => Self::of_fault(fault.code),
            Outcome::Refused { refusal } => Self::of_refusal(refusal.code),
        }
    }

    /// What another labtop process said with its exit code.
    #[must_use]
    pub fn of_code(code: Option<i32>) -> Self {
        match code {
            Some(2) => Self::Usage,
            Some(3) => Self::Refused,
            Some(4) => Self::Unreachable,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a verb did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Problem {
    /// The exit code.
    pub exit: Exit,
    /// The thing, the cause, the next step; nothing is printed when it is empty.
    pub text: String,
}

impl Problem {
    /// A problem with its text.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
        }
    }

    /// Prints the text and tells the exit code.
    #[must_use]
    pub fn tell(&self) -> ExitCode {
        if !self.text.is_empty() {
            complain(&format!("labtop: {}", visible(&self.text)));
        }
        self.exit.into()
    }
}

/// Writes a line on standard error. When nobody reads there, the exit code has to do.
pub fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes on standard output. A reader that has seen enough (`| head`) changes nothing of how the verb ends.
///
/// # Errors
/// When it cannot be written.
pub fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::new(Exit::of_fault(fault.code), fault.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(Exit::of_refusal(refusal.code), refusal.text)
    }
}

impl From<ConnectError> for Problem {
    fn from(error: ConnectError) -> Self {
        let exit = match error {
            ConnectError::Absent(_) => Exit::Unreachable,
            ConnectError::Refused(_) => Exit::Refused,
            ConnectError::Protocol(_) | ConnectError::Busy(_) | ConnectError::Io { .. } => Exit::Failed,
        };
        let next = match exit {
            Exit::Unreachable => ": start one with `labtop agent`, or open the board with `labtop`",
            _ => "",
        };
        Self::new(exit, format!("{error}{next}"))
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Connect(error) => error.into(),
            CallError::Fault(fault) => fault.into(),
            CallError::Refusal(refusal) => refusal.into(),
            lost @ CallError::Lost(_) => Self::new(Exit::Failed, lost.to_string()),
        }
    }
}

/// Output that could not be written. A reader that has seen enough (`| head`) is no failure.
impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Done, ""),
            _ => Self::new(Exit::Failed, format!("the output cannot be written: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_exit_code() {
        let fault = |code| Outcome::from(Fault::new(code, "x"));
        let refusal = |code| Outcome::from(Refusal::new(code, "x"));
        let partly = Outcome::Partly {
            text: String::new(),
            left: vec![],
        };
        for (outcome, code) in [
            (Outcome::done("x"), 0),
            (fault(FaultCode::Engine), 1),
            (fault(FaultCode::ImageMissing), 1),
            (fault(FaultCode::Store), 1),
            (fault(FaultCode::Cancelled), 1),
            (refusal(RefusalCode::NotFound), 1),
            (refusal(RefusalCode::Conflict), 1),
            (refusal(RefusalCode::Invalid), 2),
            (refusal(RefusalCode::Role), 3),
            (fault(FaultCode::EngineUnreachable), 4),
            (fault(FaultCode::EngineVersion), 4),
            (partly, 5),
        ] {
            assert_eq!(Exit::of_outcome(&outcome).code(), code, "{outcome:?}");
        }
    }

    #[test]
    fn connecting_has_its_exit_codes() {
        let absent = Problem::from(ConnectError::Absent("/x/agent.sock".into()));
        assert_eq!(absent.exit, Exit::Unreachable);
        assert!(
            absent.text.contains("/x/agent.sock") && absent.text.contains("`labtop agent`"),
            "{absent}"
        );
        assert_eq!(Problem::from(ConnectError::Refused(String::new())).exit, Exit::Refused);
        assert_eq!(Problem::from(ConnectError::Busy(String::new())).exit, Exit::Failed);
        assert_eq!(Problem::from(CallError::Lost(String::new())).exit, Exit::Failed);
        let pipe = Problem::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((pipe.exit, pipe.text.as_str()), (Exit::Done, ""));
    }

    #[test]
    fn a_fault_brings_its_next_step() {
        let fault = Fault::new(FaultCode::EngineUnreachable, "Docker does not answer").hint("Start it");
        assert_eq!(Problem::from(fault).text, "Docker does not answer. Start it");
    }
}
