//! How far a command has come: one line redrawn on a terminal, a new line for new words in a pipe.

use std::io::{self, IsTerminal, Write};

use unicode_width::UnicodeWidthChar;

use super::clean::visible_line;
use crate::domain::command::ProgressReport;

/// A terminal that does not tell its width is taken for this wide, columns.
const WIDTH_UNKNOWN: usize = 80;

/// Writes progress on standard error, or wherever a test wants it.
pub struct Progress<W: Write> {
    out: W,
    /// Columns of the terminal; none when it is not one.
    width: Option<usize>,
    words: String,
}

impl Progress<io::Stderr> {
    /// Progress on standard error.
    pub fn on_stderr() -> Self {
        let width = || crossterm::terminal::size().map_or(WIDTH_UNKNOWN, |(cols, _)| cols.into());
        Self::new(io::stderr(), io::stderr().is_terminal().then(width))
    }
}

impl<W: Write> Progress<W> {
    fn new(out: W, width: Option<usize>) -> Self {
        Self {
            out,
            width,
            words: String::new(),
        }
    }

    /// Shows a report. Progress that cannot be written is no reason to stop.
    pub fn show(&mut self, report: &ProgressReport) {
        let line = line(report);
        let _ = match self.width {
            Some(width) => self.redraw(&cut(&line, width.saturating_sub(1))),
            None if report.text == self.words => Ok(()),
            None => writeln!(self.out, "{line}"),
        };
        self.words.clone_from(&report.text);
    }

    /// Takes the line away, so that the result stands alone.
    pub fn clear(&mut self) {
        if self.width.is_some() && !self.words.is_empty() {
            let _ = self.redraw("");
        }
    }

    fn redraw(&mut self, line: &str) -> io::Result<()> {
        write!(self.out, "\r\x1b[2K{line}")?;
        self.out.flush()
    }
}

fn line(report: &ProgressReport) -> String {
    let text = visible_line(&report.text);
    if report.total == 0 {
        return text;
    }
    let failed = match report.failed {
        0 => String::new(),
        count => format!(", {count} failed"),
    };
    format!("{}/{}{failed}  {text}", report.done, report.total)
}

/// As much as fits: a line that wraps could not be redrawn.
fn cut(line: &str, width: usize) -> String {
    let mut used = 0;
    line.chars()
        .take_while(|character| {
            used += character.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: Option<usize>, reports: &[(usize, usize, &str)]) -> String {
        let mut progress = Progress::new(Vec::new(), width);
        for (done, failed, text) in reports {
            progress.show(&ProgressReport {
                done: *done,
                failed: *failed,
                total: 3,
                text: (*text).to_owned(),
            });
        }
        progress.clear();
        String::from_utf8(progress.out).unwrap()
    }

    #[test]
    fn a_pipe_gets_a_line_for_new_words_only() {
        let reports = [(0, 0, "making"), (1, 0, "making"), (2, 1, "waiting\u{1b}[2J")];
        assert_eq!(shown(None, &reports), "0/3  making\n2/3, 1 failed  waiting\\u{1b}[2J\n");
    }

    #[test]
    fn a_terminal_gets_one_line_redrawn_and_taken_away() {
        let reports = [(0, 0, "making"), (1, 0, "making")];
        let expected = "\r\x1b[2K0/3  making\r\x1b[2K1/3  making\r\x1b[2K";
        assert_eq!(shown(Some(80), &reports), expected);
        assert_eq!(shown(Some(9), &[(0, 0, "世界世界")]), "\r\x1b[2K0/3  世\r\x1b[2K");
        assert_eq!(shown(Some(80), &[]), "");
    }
}
