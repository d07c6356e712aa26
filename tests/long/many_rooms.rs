//! Many rooms on one host: more than the engine's default address pools would hold.

use crate::lab::Lab;

#[test]
fn sixty_rooms_of_one_seat_open_at_once() {
    let lab = Lab::new();
    let opening: Vec<_> = (0..60)
        .map(|n| lab.spawn(&["room", "open", &format!("room-{n}"), "--seats", "1"]))
        .collect();
    for child in opening {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let seats = lab.ls();
    assert_eq!(seats.iter().filter(|seat| seat["phase"] == "ready").count(), 60);
    let closing: Vec<_> = (0..60)
        .map(|n| lab.spawn(&["room", "close", &format!("room-{n}")]))
        .collect();
    for child in closing {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
}
