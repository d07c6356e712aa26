//! The list of archives, and below it what is known of the one under the cursor.

use std::ops::Range;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::domain::command::ArchiveRow;
use crate::tui::archives::{Archives, kept, proof};
use crate::tui::human::size;
use crate::tui::model::Model;
use crate::tui::text::{fit, pad};
use crate::tui::theme::Look;

use super::bits::{cut, ends, join};
use super::listing::{self, Face, MOMENT, Words, moment};

const SIZE: usize = 8;
const ENTRIES: usize = 7;
const CHECKED: usize = 8;

/// Draws it.
pub fn draw(model: &Model, list: &Archives, typing: bool, frame: &mut Frame, area: Rect) {
    let words = match list.wanted() {
        Some(room) => Words {
            title: format!("Archives of {room}, the newest first"),
            one: "archive",
            none: format!("Room {room} has no archives yet: closing it makes them. Press a for those of all rooms."),
        },
        None => Words {
            title: "Archives of all rooms, the newest first".to_owned(),
            one: "archive",
            none: "No archives yet: closing a room makes them.".to_owned(),
        },
    };
    listing::draw(model, list, (&words, &Shelf { model, list }), typing, frame, area);
}

struct Shelf<'m> {
    model: &'m Model,
    list: &'m Archives,
}

impl Face<ArchiveRow> for Shelf<'_> {
    fn lines(&self, rows: Range<usize>, width: u16) -> Vec<Line<'static>> {
        let columns = Columns::new(self.list, width);
        let line = |at| Some(row(self.model, columns, self.list.row(at)?, at == self.list.at));
        let titles = titles(self.model.look, columns);
        std::iter::once(titles).chain(rows.filter_map(line)).collect()
    }

    fn about(&self, row: &ArchiveRow, width: u16) -> Vec<Line<'static>> {
        about(self.model.look, row, width)
    }
}

/// Widths of what changes with the screen.
#[derive(Debug, Clone, Copy)]
struct Columns {
    student: usize,
    room: Option<usize>,
    moment: usize,
    width: usize,
}

impl Columns {
    fn new(list: &Archives, width: u16) -> Self {
        let (student_max, room_max) = if width < 96 { (14, 10) } else { (32, 24) };
        let longest = |text: fn(&ArchiveRow) -> usize, least, most: usize| {
            list.listed().map(text).max().unwrap_or(0).clamp(least, most)
        };
        Self {
            student: longest(|row| row.student.as_str().len(), 7, student_max),
            room: list.all.then(|| longest(|row| row.room.as_str().len(), 4, room_max)),
            moment: if width < 96 { MOMENT } else { MOMENT + 3 },
            width: usize::from(width),
        }
    }
}

fn titles(look: Look, c: Columns) -> Line<'static> {
    let columns = [
        Some(pad("STUDENT", c.student, look.ascii)),
        c.room.map(|width| pad("ROOM", width, look.ascii)),
        Some(pad("TAKEN (UTC)", c.moment, look.ascii)),
        Some(format!("{:>SIZE$}", "SIZE")),
        Some(format!("{:>ENTRIES$}", "ENTRIES")),
        Some(format!("{:CHECKED$}", "VERIFIED")),
        Some("NOTE".to_owned()),
    ];
    let shown: Vec<String> = columns.into_iter().flatten().collect();
    Line::styled(fit(&format!("  {}", shown.join(" ")), c.width, look.ascii), look.dim())
}

fn row(model: &Model, c: Columns, row: &ArchiveRow, here: bool) -> Line<'static> {
    let look = model.look;
    let student = pad(row.student.as_str(), c.student, look.ascii);
    let mut spans = Vec::from(listing::name(look, student, here));
    if let Some(room) = c.room {
        spans.push(Span::raw(format!(" {}", pad(row.room.as_str(), room, look.ascii))));
    }
    let moment = pad(&moment(&row.created, c.moment, look.ascii), c.moment, look.ascii);
    let figures = format!(" {moment} {:>SIZE$} {:>ENTRIES$} ", size(row.bytes), row.entries);
    spans.push(Span::raw(figures));
    let (word, style) = verdict(look, row);
    spans.push(Span::styled(format!("{word:CHECKED$} "), style));
    spans.extend(note(model, row));
    Line::from(cut(spans, c.width, look))
}

/// How it was proven, and whether that is well.
fn verdict(look: Look, row: &ArchiveRow) -> (&'static str, Style) {
    (proof(row), if row.verified { look.good() } else { look.bad() })
}

/// What changed while it was read, what was left out, and what goes on with it.
fn note(model: &Model, row: &ArchiveRow) -> Vec<Span<'static>> {
    let look = model.look;
    let archive = kept(row);
    let mut parts = Vec::new();
    if row.torn > 0 {
        parts.push(vec![Span::styled(format!("{} torn", row.torn), look.warn())]);
    }
    if row.left_out > 0 {
        parts.push(vec![Span::styled(format!("{} left out", row.left_out), look.dim())]);
    }
    if model.jobs.iter().any(|job| job.is_about(&archive)) {
        parts.push(vec![Span::styled("under way", look.accent())]);
    }
    join(parts, &Span::raw("  "))
}

/// The archive under the cursor in full.
fn about(look: Look, row: &ArchiveRow, width: u16) -> Vec<Line<'static>> {
    let cells = usize::from(width);
    let (word, style) = verdict(look, row);
    let name = vec![
        Span::styled(format!("{} ", kept(row).seat), look.strong()),
        Span::raw(row.id.to_string()),
    ];
    let facts = format!(
        "{} entries; {} torn (changed while read); {} left out (the tree says why)",
        row.entries, row.torn, row.left_out
    );
    vec![
        ends(name, vec![Span::styled(word, style)], width, look),
        Line::styled(fit(&facts, cells, look.ascii), look.dim()),
    ]
}
