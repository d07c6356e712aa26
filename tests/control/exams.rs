//! Exams: opened only when it is proven that their seats are closed in.

use labtop::domain::command::Outcome;
use labtop::domain::control::Control;
use labtop::domain::effect::Task;
use labtop::domain::fault::{Fault, FaultCode, RefusalCode};

use labtop::domain::record::LedgerState;

use crate::asks::{exam, open};
use crate::rig::{Rig, refused};

/// Whether the room that is about to open is to be proven closed in.
fn is_proven(rig: &Rig) -> Vec<bool> {
    let proven = rig.tasks().filter_map(|task| match task {
        Task::Preflight { isolated, .. } => Some(*isolated),
        _ => None,
    });
    proven.collect()
}

#[test]
fn only_an_exam_that_opens_is_proven_and_only_unless_an_admin_overrides() {
    for (command, proven) in [
        (open("a", 2), false),
        (exam("a", false), true),
        (exam("a", true), false),
    ] {
        let mut rig = Rig::new();
        rig.ask(command.clone());
        assert_eq!(is_proven(&rig), [proven], "{command:?}");
    }
    let mut rig = Rig::new();
    rig.ask(exam("a", false));
    rig.settle();
    rig.ask(open("a", 3));
    assert_eq!(is_proven(&rig), [false], "more seats in an exam that goes on");
}

#[test]
fn an_exam_that_is_not_closed_in_leaves_nothing() {
    let mut rig = Rig::new();
    rig.ask(exam("a", false));
    let fault = Fault::new(FaultCode::NotIsolated, "host: OPEN");
    rig.done_first(|task| matches!(task, Task::Preflight { .. }), Err(fault.clone()));
    assert_eq!(rig.outcome(), Some(&Outcome::Failed { fault }));
    rig.settle();
    assert!(rig.snapshot().rooms.is_empty());
}

#[test]
fn an_exam_gives_nobody_what_gets_around_its_walls() {
    let mut rules = crate::rules::rules();
    for template in rules.templates.values_mut() {
        template.cap_add = vec!["CHOWN".into(), "NET_RAW".into()];
    }
    let mut rig = Rig::restored(LedgerState::default());
    rig.control = Control::restore(rules, LedgerState::default());
    rig.engine_rises();
    rig.settle();
    let out = rig.ask(exam("a", true));
    assert_eq!(refused(&out), Some(RefusalCode::Conflict));
    rig.ask(open("a", 2));
    assert_eq!(is_proven(&rig), [false], "a class may");
}
