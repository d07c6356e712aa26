//! `labtop demo` on an engine of its own: the whole job through a pipe, and nothing of it is left.

mod engine;
mod lab;
mod pty;

use engine::Machine;
use pty::Terminal;

/// Students of the demo, in the order of the board.
fn students() -> impl Iterator<Item = String> {
    (1..=12).map(|n| format!("s{n:02}"))
}

/// The boards in the demo's output, each up to the next one or the end.
fn boards(output: &str) -> Vec<&str> {
    let starts: Vec<usize> = output.match_indices("labtop  demo").map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([output.len()]);
    starts.iter().zip(ends).map(|(from, to)| &output[*from..to]).collect()
}

/// Whether a line of the output has these words, in this order, at its begin.
fn has_row(output: &str, words: &[&str]) -> bool {
    output.lines().any(|line| {
        let line: Vec<&str> = line.split_whitespace().collect();
        line.starts_with(words)
    })
}

#[test]
fn the_demo_does_the_whole_job_and_leaves_nothing() {
    let machine = Machine::new("");
    let (things, images) = (machine.engine.things(), machine.engine.images());

    let ran = machine.run(&["demo"]).expect(0);
    let out = ran.stdout.as_str();
    let boards = boards(out);
    assert_eq!(boards.len(), 2, "the board is shown twice: {out}");
    for board in &boards {
        let ready = students().filter(|student| has_row(board, &[student, "Ready"]));
        assert_eq!(ready.count(), 12, "all seats are on it: {board}");
    }
    let killed: Vec<&str> = out.lines().filter(|line| line.starts_with("Killed ")).collect();
    assert!(
        killed.len() == 1 && killed[0].starts_with("Killed demo/s07;"),
        "the runaway, and nobody else, is killed: {out}"
    );

    let archives = machine.lab.archived("demo");
    let archived: Vec<&String> = archives.iter().map(|(student, _)| student).collect();
    for student in students() {
        assert!(archived.contains(&&student), "the work of {student} is in the store");
    }
    let listed = out.lines().filter(|line| line.ends_with("/workspace.tar.zst"));
    assert_eq!((archives.len(), listed.count()), (12, 12), "{out}");
    assert_eq!(machine.engine.things(), things, "only images are left");

    for _ in 0..2 {
        machine.run(&["demo", "--down"]).expect(0);
        assert_eq!(machine.engine.things(), things);
        assert_eq!(
            machine.engine.images(),
            images,
            "what the demo made on the engine is gone"
        );
    }
    assert_eq!(machine.lab.archived("demo").len(), 12, "the archives are kept");
}

#[test]
fn a_demo_whose_board_was_left_goes_on_until_it_is_taken_down() {
    let machine = Machine::new("");
    let (things, images) = (machine.engine.things(), machine.engine.images());
    let mut demo = Terminal::start(&machine.command(&["demo", "--seats", "3"]));
    demo.shows_line(&["3 seats", "3 Ready"]);
    demo.press("q");
    assert_eq!(demo.exit_code(), 0);
    assert!(demo.screen().contains("`labtop demo --down`"), "{}", demo.screen());
    assert_eq!(machine.lab.ls().len(), 3);

    machine.run(&["demo", "--down"]).expect(0);
    assert_eq!(machine.engine.things(), things);
    assert_eq!(machine.engine.images(), images);
    assert_eq!(machine.lab.archived("demo").len(), 3);
}
