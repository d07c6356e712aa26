//! `[roles]` and `[rooms]` through the configuration's public door: who is meant, and what is printed of it.

use std::path::Path;

use labtop::config::{self, Loaded, Mistakes};
use labtop::domain::role::{Person, Role, RoleSettings};

fn check(text: &str) -> Result<Loaded, Mistakes> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("labtop.toml");
    std::fs::write(&path, text).unwrap();
    config::load(Some(&path), |_| None, Path::new("/var/lib/labtop-state"), false)
}

fn roles(text: &str) -> RoleSettings {
    check(text).unwrap().settings.roles
}

/// Everything that can be written.
const ALL: &str = r#"
[roles]
admin = ["anna", "@it"]
proctor = ["@lecturers"]
viewer = []
gateway = ["door"]
[rooms."exam-*"]
proctor = ["@invigilators"]
[rooms.secret]
viewer = ["dean"]
"#;

#[test]
fn what_is_written_counts_and_the_rest_is_built_in() {
    assert_eq!(roles(""), RoleSettings::default());
    let some = roles("[roles]\nproctor = ['kim']");
    assert_eq!((some.admin, some.proctor.len()), (RoleSettings::default().admin, 1));
    let invigilator = Person {
        name: "ian".into(),
        groups: vec!["invigilators".into()],
    };
    let rights = roles(ALL).rights(&invigilator);
    let role = |room: &str| rights.role(Some(&room.parse().unwrap()));
    assert_eq!(
        (role("exam-1"), role("secret"), role("class")),
        (Some(Role::Proctor), None, None)
    );
}

#[test]
fn what_is_printed_is_read_back_as_it_was() {
    for text in [ALL, ""] {
        let loaded = check(text).unwrap();
        assert_eq!(roles(&config::to_toml(&loaded)), loaded.settings.roles);
    }
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (text, expected) in [
        (
            "[roles]\nproctor = [\"@\"]",
            "line 2: roles.proctor = [\"@\"]: \"@\" is neither a user nor a @group",
        ),
        (
            "[roles]\nadmin = \"anna\"",
            "line 2: roles.admin = \"anna\": must be a list of texts",
        ),
        (
            "[roles]\nproctors = []",
            "line 2: roles.proctors = []: unknown key, did you mean `proctor`?",
        ),
        (
            "[rooms.\"Exam\"]\nviewer = []",
            "rooms.Exam: must be 1 to 32 of a-z, 0-9, - and *",
        ),
        (
            "[rooms.\"exam-*\"]\nadmin = []",
            "line 2: rooms.\"exam-*\".admin = []: unknown key",
        ),
    ] {
        let told = check(text).expect_err(text).to_string();
        assert!(told.contains(expected), "{text}: {told}");
    }
}
