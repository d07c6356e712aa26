//! A board of somebody who may not do everything: keys are greyed, and say why instead of asking.

mod board_support;

use board_support::shelf::*;
use board_support::*;
use crossterm::event::KeyCode;
use labtop::domain::role::{Member, Narrowed, Person, Rights, Role, RoleSettings};
use labtop::tui::port::{Inbound, Outbound};

fn as_role(role: Role) -> Hands {
    let mut hands = Hands::seeing(two_rooms(), 80, 24);
    hands.hear(Inbound::Rights(Rights::of(role)));
    hands
}

#[test]
fn a_viewer_is_told_why_and_asked_nothing() {
    let mut hands = as_role(Role::Viewer);
    for key in ["K", "R", "F", "E", "S", "C", "O"] {
        assert_eq!(hands.keys(key), [], "{key}");
        assert!(hands.model.layers.is_empty(), "{key}: {}", hands.screen());
        assert!(
            hands.screen().contains("it takes a proctor"),
            "{key}: {}",
            hands.screen()
        );
    }
    assert!(hands.screen().contains("you are a viewer there") || hands.screen().contains("You may open no room"));
    assert!(
        matches!(hands.keys("L")[..], [Outbound::OpenLog { .. }]),
        "logs are for all"
    );
    hands.press(KeyCode::Esc);
    assert!(matches!(hands.keys("a")[..], [Outbound::List { .. }]));
}

#[test]
fn a_proctor_runs_rooms_and_takes_nothing_out() {
    let mut hands = as_role(Role::Proctor);
    hands.keys("K");
    assert!(hands.screen().contains("Kill demo/s01?"));

    let mut hands = listing(80, 24);
    hands.hear(Inbound::Rights(Rights::of(Role::Proctor)));
    for key in ["R", "E"] {
        assert_eq!(hands.keys(key), []);
        assert!(hands.screen().contains("it takes an admin"));
        assert_eq!(hands.model.layers.len(), 1, "{key}");
    }
    assert!(matches!(hands.keys("v")[..], [Outbound::Work { .. }]));
}

#[test]
fn rooms_differ_and_marks_over_several_need_the_role_in_each() {
    let settings = RoleSettings {
        proctor: vec![Member::User("kim".into())],
        rooms: vec![Narrowed {
            rooms: "exam-*".parse().unwrap(),
            proctor: Some(Vec::new()),
            viewer: None,
        }],
        ..RoleSettings::default()
    };
    let kim = Person {
        name: "kim".into(),
        groups: Vec::new(),
    };
    let mut hands = Hands::seeing(two_rooms(), 80, 24);
    hands.hear(Inbound::Rights(settings.rights(&kim)));
    hands.keys("F");
    assert!(hands.screen().contains("Freeze demo/s01?"), "{}", hands.screen());
    hands.press(KeyCode::Esc);
    hands.keys(" ");
    hands.press(KeyCode::End);
    hands.keys(" F");
    assert!(hands.model.layers.is_empty());
    assert!(hands.screen().contains("in room exam-1"), "{}", hands.screen());
    hands.press(KeyCode::Esc);
    hands.keys("K");
    assert!(hands.model.layers.is_empty(), "the cursor is in the exam");
}

#[test]
fn an_agent_that_says_nothing_of_roles_greys_nothing() {
    let mut hands = Hands::seeing(two_rooms(), 80, 24);
    hands.keys("K");
    assert!(hands.screen().contains("Kill demo/s01?"));
}
