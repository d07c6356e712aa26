//! The list of archives, and below it what is known of the one under the cursor. Only the rows in sight are built.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};

use crate::domain::command::ArchiveRow;
use crate::tui::archives::{Archives, Asked, kept, proof};
use crate::tui::human::{count, size};
use crate::tui::model::Model;
use crate::tui::text::{clean, fit, pad, wrap};
use crate::tui::theme::Look;

use super::bits::{cut, ends, join};
use super::{first_row, framed};

/// Lines that the titles take.
pub const TITLE_ROWS: u16 = 1;
/// From this many lines on there is room for what is known of the archive under the cursor.
const DETAIL_FROM_ROWS: u16 = 12;
/// Lines that it takes.
const DETAIL_ROWS: u16 = 3;

const SIZE: usize = 8;
const ENTRIES: usize = 7;
const CHECKED: usize = 8;
/// Characters of a moment without its fractions and zone.
const MOMENT: usize = 16;

/// Lines left for archives in a box of `height` lines.
#[must_use]
pub fn rows(height: u16) -> u16 {
    let inner = height.saturating_sub(super::FRAME_ROWS + TITLE_ROWS);
    inner.saturating_sub(detail_rows(height))
}

fn detail_rows(height: u16) -> u16 {
    if height >= DETAIL_FROM_ROWS { DETAIL_ROWS } else { 0 }
}

/// Draws it.
pub fn draw(model: &Model, list: &Archives, typing: bool, frame: &mut Frame, area: Rect) {
    let look = model.look;
    let title = match list.wanted() {
        Some(room) => format!("Archives of {room}, the newest first"),
        None => "Archives of all rooms, the newest first".to_owned(),
    };
    let inner = framed(
        look,
        frame,
        area,
        &fit(&title, usize::from(area.width.saturating_sub(6)), look.ascii),
    );
    draw_filter(look, list, typing, frame, area);
    if list.len() == 0 {
        return draw_empty(look, list, frame, inner);
    }
    let height = usize::from(rows(area.height));
    let columns = Columns::new(list, inner.width);
    let top = first_row(list.top, list.at, height, list.len());
    let last = (top + height).min(list.len());
    let mut lines = vec![titles(look, columns)];
    lines.extend((top..last).filter_map(|at| Some(row(model, columns, list.row(at)?, at == list.at))));
    frame.render_widget(Text::from(lines), inner);
    let detail = detail_rows(area.height);
    let below = Rect {
        y: inner.bottom().saturating_sub(detail),
        height: detail,
        ..inner
    };
    if let (Some(row), 1..) = (list.chosen(), detail) {
        frame.render_widget(Text::from(about(look, row, inner.width)), below);
    }
}

/// The filter, and what it leaves, in the lower edge of the frame.
fn draw_filter(look: Look, list: &Archives, typing: bool, frame: &mut Frame, area: Rect) {
    let mut parts = Vec::new();
    if list.asked == Asked::Here {
        parts.push(vec![Span::styled(count(list.len(), "archive"), look.strong())]);
    }
    if list.asked == Asked::Waiting && list.has_any() {
        parts.push(vec![Span::styled("asking the agent", look.dim())]);
    }
    if typing || !list.filter.value().is_empty() {
        let text = clean(list.filter.raw(), look.ascii);
        parts.push(vec![
            Span::styled("filter /", look.dim()),
            Span::styled(text, look.accent()),
        ]);
    }
    let mut spans = join(parts, &Span::raw("  "));
    if spans.is_empty() {
        return;
    }
    spans.insert(0, Span::raw(" "));
    spans.push(Span::raw(" "));
    let edge = super::edge(area);
    let line = Line::from(cut(spans, usize::from(edge.width), look)).right_aligned();
    frame.render_widget(line, edge.intersection(frame.area()));
}

fn draw_empty(look: Look, list: &Archives, frame: &mut Frame, inner: Rect) {
    let text = match (&list.asked, list.has_any(), list.wanted()) {
        (Asked::Failed(why), ..) => clean(why, look.ascii),
        (Asked::Waiting, ..) => "Asking the agent.".to_owned(),
        (Asked::Here, true, _) => "No archive matches the filter. Esc clears it.".to_owned(),
        (Asked::Here, false, Some(room)) => {
            format!("Room {room} has no archives yet: closing it makes them. Press a for those of all rooms.")
        }
        (Asked::Here, false, None) => "No archives yet: closing a room makes them.".to_owned(),
    };
    let style = if matches!(list.asked, Asked::Failed(_)) {
        look.bad()
    } else {
        Style::new()
    };
    let lines = wrap(&text, usize::from(inner.width), usize::from(inner.height), look.ascii);
    let lines: Vec<Line> = lines
        .into_iter()
        .map(|line| Line::styled(line, style).centered())
        .collect();
    let y = inner.y + inner.height / 3;
    let place = Rect { y, ..inner }.intersection(inner);
    frame.render_widget(Text::from(lines), place);
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
    let cursor = if here { look.pick("▸ ", "> ") } else { "  " };
    let name = if here { look.chosen() } else { Style::new() };
    let mut spans = vec![
        Span::styled(cursor, look.accent()),
        Span::styled(pad(row.student.as_str(), c.student, look.ascii), name),
    ];
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

/// A moment as people write it, cut to `width` characters.
fn moment(created: &str, width: usize, ascii: bool) -> String {
    clean(created, ascii)
        .replacen('T', " ", 1)
        .chars()
        .take(width)
        .collect()
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
    let rule = Line::styled(look.pick("─", "-").repeat(cells), look.dim());
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
        rule,
        ends(name, vec![Span::styled(word, style)], width, look),
        Line::styled(fit(&facts, cells, look.ascii), look.dim()),
    ]
}
