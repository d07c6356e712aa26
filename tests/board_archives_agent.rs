//! Archives on the board as a person meets them: the real program in a pseudo-terminal, on the real engine.

mod lab;
mod pty;

use std::fs;
use std::path::Path;

use lab::Lab;
use pty::Terminal;

/// A seat whose student gave its files names and contents that act on terminals.
const HOSTILE: &str = r#"
default_template = "lab"
[templates.lab]
image = "labtop-demo:latest"
command = ["/bin/sh", "-c", "mkdir -p src; printf 'int main(void) {\\n' > src/main.c; printf 'x\\033]0;owned\\007\\033[2Jy\\n' > src/bytes; : > \"$(printf 'src/\\033[2Jname')\"; exec /bin/busybox httpd -f -p 8080 -h /workspace"]
port = 8080
memory = "32MiB"
cpus = 0.5
pids = 32
network = "closed"
"#;

/// A board that was started in the laboratory's directory and shows the archives of a room that is closed.
fn archives(lab: &Lab, students: &str) -> Terminal {
    lab.run(&["room", "open", "r", "--students", students]).expect(0);
    lab.run(&["room", "close", "r"]).expect(0);
    let mut board = Terminal::start(&lab.command(&[]));
    board.shows("a archives");
    board.press("a");
    board.shows("Archives of all rooms");
    board.shows_line(&["an", "full"]);
    board
}

/// Waits until the cursor is on a line with that text.
#[track_caller]
fn cursor_on(board: &Terminal, text: &str) {
    board.until(&format!("the cursor on {text}"), |screen| {
        screen.lines().any(|line| line.contains('▸') && line.contains(text))
    });
}

/// Types a path over the one that is offered, and presses the button.
fn restore_to(board: &mut Terminal, target: &Path) {
    board.press("R");
    board.shows("from archive");
    // Ctrl-U clears the field.
    board.press(&format!("\x15{}\t\t", target.display()));
    board.shows("▸ Restore its files ◂");
    board.press("\r");
}

#[test]
fn an_archive_is_looked_into_verified_and_restored_from_the_board() {
    let lab = Lab::with_config(HOSTILE);
    let mut board = archives(&lab, "an");
    board.press("\r");
    board.shows("workspace/");
    board.press("G");
    cursor_on(&board, "workspace/");
    board.press("\r");
    board.shows_line(&["/workspace"]);
    cursor_on(&board, "src/");
    board.press("\r");
    board.shows("\\u{1b}[2Jname");
    board.press("G");
    cursor_on(&board, "main.c");
    board.press("\r");
    board.shows("int main(void) {");
    board.shows("all 17 B");
    board.press("q");
    board.shows("Left up");
    board.press("gj");
    cursor_on(&board, "bytes");
    board.press("\r");
    board.shows("x␛]0;owned␇␛[2Jy");
    board.press("q");
    board.shows("Left up");

    board.press("v");
    board.shows("of r/an is as it was sent");
    let target = lab.path().join("back");
    restore_to(&mut board, &target);
    board.shows("links (");
    assert_eq!(
        fs::read_to_string(target.join("workspace/src/main.c")).unwrap(),
        "int main(void) {\n"
    );
    // What is there is not written over.
    restore_to(&mut board, &target);
    board.shows("is there already");
    board.press("\r");
    board.shows("Left up");

    let stored = &lab.archived("r")[0].1;
    let mut bytes = fs::read(stored).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(stored, bytes).unwrap();
    board.press("\x1b");
    board.shows("Archives of all rooms");
    board.press("v");
    board.shows_line(&["an", "DAMAGED"]);
    restore_to(&mut board, &lab.path().join("forged"));
    board.shows_line(&["│ restore r/an: "]);
    assert!(!lab.path().join("forged").exists());
    board.press("\r");
    board.press("\x1b");
    board.shows("No rooms");
    board.press("\x1b");
    board.until("the failures are gone", |screen| !screen.contains("failed  "));
    board.press("q");
    assert_eq!(board.exit_code(), 0, "{}", board.screen());
}

#[test]
fn a_rooms_work_is_exported_from_the_board_but_for_what_is_damaged() {
    let lab = Lab::with_config(HOSTILE);
    let mut board = archives(&lab, "an,binh");
    let target = lab.path().join("marks");
    let export = |board: &mut Terminal| {
        board.press("E");
        board.shows("Export room r?");
        board.press(&format!("\x15{}\t\t", target.display()));
        board.shows("▸ Export its work ◂");
        board.press("\r");
    };
    export(&mut board);
    board.shows("2 of 2 students of room r");
    for student in ["an", "binh"] {
        let file = target.join(student).join("src/main.c");
        assert_eq!(fs::read_to_string(file).unwrap(), "int main(void) {\n");
    }
    // What is there is not written over.
    export(&mut board);
    board.shows("is not empty");
    board.press("\r");
    board.shows("Archives of all rooms");

    fs::remove_dir_all(&target).unwrap();
    let (_, stored) = lab
        .archived("r")
        .into_iter()
        .find(|(seat, _)| seat.contains("binh"))
        .unwrap();
    fs::write(stored, "nothing of it").unwrap();
    export(&mut board);
    board.shows("1 of 2 students of room r");
    assert!(target.join("an/src/main.c").is_file() && !target.join("binh").exists());
    board.press("n");
    board.shows("export r: binh: ");
    // No escape: two that follow each other at once are another key to a terminal.
    board.press("q");
    board.shows("2 archives");
    board.press("q");
    board.shows("No rooms");
    board.press("\x1b");
    board.until("the failures are gone", |screen| !screen.contains("failed  "));
    board.press("q");
    assert_eq!(board.exit_code(), 0, "{}", board.screen());
}
