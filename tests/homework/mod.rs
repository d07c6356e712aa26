//! Work that seats make by themselves when they start, known byte for byte to the test: several files in the workspace
//! and some outside of it, different for every student and every seed.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::lab::{Lab, files_of};

/// Path in the seat, path in its archive, bytes.
const FILES: [(&str, &str, usize); 5] = [
    ("/workspace/notes.txt", "workspace/notes.txt", 71),
    ("/workspace/src/main.c", "workspace/src/main.c", 4097),
    ("/workspace/src/data/table.csv", "workspace/src/data/table.csv", 40_000),
    ("/workspace/.history", "workspace/.history", 1),
    ("/tmp/outside/todo.txt", "elsewhere/tmp/outside/todo.txt", 1500),
];
/// The file whose size a test may choose.
const BIG: (&str, &str) = ("/workspace/big.bin", "workspace/big.bin");

/// What the students of a laboratory make.
#[derive(Debug, Clone, Copy)]
pub struct Homework {
    pub seed: u64,
    /// Bytes of each student's largest file.
    pub big: usize,
}

impl Homework {
    fn files(self) -> impl Iterator<Item = (&'static str, &'static str, usize)> {
        FILES.into_iter().chain([(BIG.0, BIG.1, self.big)])
    }

    fn line(self, student: &str, path: &str) -> String {
        format!("{path} of {student}, {:016x}\n", self.seed)
    }

    /// A configuration whose seats do it, and then answer on port 8080.
    pub fn config(self) -> String {
        self.config_then("exec /bin/busybox httpd -f -p 8080 -h /workspace")
    }

    /// The same with another end of the seat's program.
    pub fn config_then(self, then: &str) -> String {
        let make = |(path, _, size)| {
            let line = self.line("$LABTOP_STUDENT", path).replace('\n', "");
            format!("yes \\\"{line}\\\" | head -c {size} > {path}; ")
        };
        let make: String = self.files().map(make).collect();
        let script = format!("set -e; mkdir -p /workspace/src/data /tmp/outside; {make}");
        format!(
            "default_template = \"lab\"\n[templates.lab]\nimage = \"labtop-demo:latest\"\n\
             command = [\"/bin/sh\", \"-c\", \"{script}{then}\"]\n\
             port = 8080\nmemory = \"64MiB\"\ncpus = 1.0\npids = 32\nnetwork = \"closed\"\n"
        )
    }

    /// The files of a student, by their paths in the archive.
    pub fn of(self, student: &str) -> BTreeMap<String, Vec<u8>> {
        let content = |path, size| self.line(student, path).bytes().cycle().take(size).collect();
        self.files()
            .map(|(path, there, size)| (there.to_owned(), content(path, size)))
            .collect()
    }

    /// Sees that an archive holds all files of a student, byte for byte; `part` chooses by their paths in it.
    #[track_caller]
    pub fn expect_in(self, archive: &Path, student: &str, part: &str) {
        let found: BTreeMap<_, _> = files_of(archive).into_iter().collect();
        for (path, content) in self.of(student).iter().filter(|(path, _)| path.starts_with(part)) {
            let there = found.get(path);
            let there = there.unwrap_or_else(|| panic!("{path} of {student} is not in {}", archive.display()));
            assert!(
                there == content,
                "{path} of {student} in {} is different",
                archive.display()
            );
        }
    }

    /// Sees that every archive of a room holds its student's whole workspace, and that one of each student's holds also
    /// what was made outside of it. An agent that dies when it has removed a container, and has not noted that yet, takes
    /// an archive of the workspace alone: the one before has the rest.
    #[track_caller]
    pub fn expect_room(self, lab: &Lab, room: &str, students: &[String]) {
        self.expect_all(&lab.archived(room), students);
    }

    /// The same of archives that lie elsewhere, as (student, path of the file).
    #[track_caller]
    pub fn expect_all(self, archives: &[(String, PathBuf)], students: &[String]) {
        for student in students {
            let mine: Vec<&PathBuf> = of_student(archives, student).collect();
            for archive in &mine {
                self.expect_in(archive, student, "workspace/");
            }
            let has_more =
                |archive: &&&PathBuf| files_of(archive).iter().any(|(path, _)| path.starts_with("elsewhere/"));
            let whole = mine.iter().find(has_more);
            self.expect_in(
                whole.unwrap_or_else(|| panic!("nothing whole of {student}: {mine:?}")),
                student,
                "",
            );
        }
    }
}

/// The archives of one student.
pub fn of_student<'a>(archives: &'a [(String, PathBuf)], student: &str) -> impl Iterator<Item = &'a PathBuf> {
    archives
        .iter()
        .filter(move |(whose, _)| whose == student)
        .map(|(_, path)| path)
}

/// The names that `--seats` gives.
pub fn students(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("s{n:02}")).collect()
}
