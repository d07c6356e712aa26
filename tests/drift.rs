//! Seats that would be made otherwise today are named, and recreated only by closing their room.

mod lab;

use lab::{Lab, TEMPLATE};

fn drift(lab: &Lab) -> String {
    // The list of seats waits until the agent has looked at the engine.
    lab.run(&["doctor"]).expect(0);
    lab.ls();
    let told = lab.run(&["doctor"]).expect(0).stdout;
    told.lines().find(|line| line.starts_with("drift")).unwrap().to_owned()
}

#[test]
fn seats_that_were_made_under_other_settings_are_named_and_left_alone() {
    let lab = Lab::with_config(TEMPLATE);
    lab.run(&["room", "open", "r", "--seats", "2"]).expect(0);
    assert!(drift(&lab).contains("as it would be made today"), "{}", drift(&lab));
    let before = lab.seat("r", "s01")["container_id"].clone();
    lab.kill_agent();
    // Every route names the gateway.
    let moved = format!("{TEMPLATE}\n[gateway]\nlisten = \"127.0.0.1:8099\"\n");
    std::fs::write(lab.path().join("config.toml"), moved).unwrap();
    assert!(
        drift(&lab).contains("another specification than today's: r/s01, r/s02"),
        "{}",
        drift(&lab)
    );
    assert_eq!(lab.seat("r", "s01")["container_id"], before);
    lab.run(&["room", "close", "r"]).expect(0);
    assert_eq!(lab.archived("r").len(), 2);
    lab.run(&["room", "open", "r", "--seats", "2"]).expect(0);
    assert!(drift(&lab).contains("as it would be made today"), "{}", drift(&lab));
    lab.run(&["room", "close", "r"]).expect(0);
}
