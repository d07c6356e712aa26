//! What supervisors ask, in few words.

use labtop::domain::command::{Command, Seats};
use labtop::domain::roster::RosterRow;

use crate::rig::{id, room, seat};

pub fn open(name: &str, seats: u32) -> Command {
    open_with(name, Seats::Numbered(seats))
}

pub fn open_for(name: &str, students: &[&str]) -> Command {
    open_with(
        name,
        Seats::Students(students.iter().map(|s| s.parse().unwrap()).collect()),
    )
}

fn open_with(name: &str, seats: Seats) -> Command {
    Command::OpenRoom {
        room: room(name),
        template: None,
        seats,
        minutes: None,
        exam: false,
        on_demand: false,
        overrides: false,
        dry_run: false,
    }
}

/// An exam of two, with or without the proof that it is closed in.
pub fn exam(name: &str, unproven: bool) -> Command {
    let mut command = open(name, 2);
    if let Command::OpenRoom { exam, overrides, .. } = &mut command {
        (*exam, *overrides) = (true, unproven);
    }
    command
}

pub fn close(name: &str, discard: bool) -> Command {
    Command::CloseRoom {
        room: room(name),
        discard,
    }
}

pub fn freeze(name: &str) -> Command {
    Command::FreezeRoom {
        room: room(name),
        student: None,
    }
}

pub fn thaw(name: &str) -> Command {
    Command::ThawRoom {
        room: room(name),
        student: None,
    }
}

pub fn hold(name: &str) -> Command {
    Command::HoldRoom {
        room: room(name),
        student: None,
    }
}

pub fn release(name: &str) -> Command {
    Command::ReleaseRoom {
        room: room(name),
        student: None,
    }
}

pub fn extend(name: &str) -> Command {
    Command::ExtendRoom {
        room: room(name),
        student: None,
        minutes: 5,
    }
}

pub fn kill(name: &str) -> Command {
    Command::KillSeat {
        seat: seat(name),
        container: None,
    }
}

pub fn restart(name: &str) -> Command {
    Command::RestartSeat {
        seat: seat(name),
        container: Some(id(name)),
    }
}

pub fn import(name: &str, students: &[&str]) -> Command {
    let rows = students.iter().map(|student| RosterRow::of(student.parse().unwrap()));
    Command::ImportRoster {
        room: room(name),
        rows: rows.collect(),
        whole: true,
    }
}

pub fn peek(id: &str) -> Command {
    Command::PeekSeat {
        seat: seat(id),
        digest: "7".repeat(64),
    }
}

pub fn revoke(id: &str) -> Command {
    let seat = seat(id);
    Command::RevokeSession {
        session: None,
        room: seat.room,
        student: seat.student,
    }
}
