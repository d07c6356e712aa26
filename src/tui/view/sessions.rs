//! The list of sessions, and below it what is known of the one under the cursor.

use std::ops::Range;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::domain::command::SessionRow;
use crate::domain::ids::SeatId;
use crate::tui::human::left;
use crate::tui::listing::Listed;
use crate::tui::model::Model;
use crate::tui::sessions::Sessions;
use crate::tui::text::{clean, fit, pad};
use crate::tui::theme::Look;

use super::bits::{cut, ends};
use super::listing::{self, Face, MOMENT, Words, moment};

const LEFT: usize = 7;
/// Cells of an address: the longest of IPv4, and of IPv6 where there is room for it.
const ADDRESSES: [usize; 2] = [15, 39];
/// From this many cells on there is room for more of everything.
const WIDE: u16 = 96;

/// Draws it.
pub fn draw(model: &Model, list: &Sessions, typing: bool, frame: &mut Frame, area: Rect) {
    let words = match list.wanted() {
        Some(room) => Words {
            title: format!("Sessions in {room}"),
            one: "session",
            none: format!("Nobody is signed in to {room}. Press a for the sessions of all rooms."),
        },
        None => Words {
            title: "Sessions in all rooms".to_owned(),
            one: "session",
            none: "Nobody is signed in.".to_owned(),
        },
    };
    let face = Visitors { look: model.look, list };
    listing::draw(model, list, (&words, &face), typing, frame, area);
}

struct Visitors<'m> {
    look: Look,
    list: &'m Sessions,
}

impl Face<SessionRow> for Visitors<'_> {
    fn lines(&self, rows: Range<usize>, width: u16) -> Vec<Line<'static>> {
        let columns = Columns::new(self.list, width);
        let line = |at| Some(row(self.look, columns, self.list.row(at)?, at == self.list.at));
        let titles = titles(self.look, columns);
        std::iter::once(titles).chain(rows.filter_map(line)).collect()
    }

    fn about(&self, row: &SessionRow, width: u16) -> Vec<Line<'static>> {
        about(self.look, row, width)
    }
}

/// Widths of what changes with the screen.
#[derive(Debug, Clone, Copy)]
struct Columns {
    student: usize,
    room: Option<usize>,
    moment: usize,
    address: usize,
    width: usize,
}

impl Columns {
    fn new(list: &Sessions, width: u16) -> Self {
        let wide = width >= WIDE;
        let (student_max, room_max) = if wide { (32, 24) } else { (14, 10) };
        let longest = |text: fn(&SessionRow) -> usize, least, most: usize| {
            list.listed().map(text).max().unwrap_or(0).clamp(least, most)
        };
        Self {
            student: longest(|row| row.student.as_str().len(), 7, student_max),
            room: list.all.then(|| longest(|row| row.room().as_str().len(), 4, room_max)),
            moment: if wide { MOMENT + 3 } else { MOMENT },
            address: longest(|row| row.address.chars().count(), 4, ADDRESSES[usize::from(wide)]),
            width: usize::from(width),
        }
    }
}

fn titles(look: Look, c: Columns) -> Line<'static> {
    let columns = [
        Some(pad("STUDENT", c.student, look.ascii)),
        c.room.map(|width| pad("ROOM", width, look.ascii)),
        Some(pad("SINCE (UTC)", c.moment, look.ascii)),
        Some(format!("{:>LEFT$}", "LEFT")),
        Some(pad("FROM", c.address, look.ascii)),
        Some("WHO LOOKS IN".to_owned()),
    ];
    let shown: Vec<String> = columns.into_iter().flatten().collect();
    Line::styled(fit(&format!("  {}", shown.join(" ")), c.width, look.ascii), look.dim())
}

fn row(look: Look, c: Columns, row: &SessionRow, here: bool) -> Line<'static> {
    let student = pad(row.student.as_str(), c.student, look.ascii);
    let mut spans = Vec::from(listing::name(look, student, here));
    if let Some(room) = c.room {
        spans.push(Span::raw(format!(" {}", pad(row.room.as_str(), room, look.ascii))));
    }
    let moment = pad(&moment(&row.began, c.moment, look.ascii), c.moment, look.ascii);
    let address = pad(&clean(&row.address, look.ascii), c.address, look.ascii);
    let figures = format!(" {moment} {:>LEFT$} {address} ", left(row.seconds_left));
    spans.push(Span::raw(figures));
    let onlooker = row.onlooker.as_deref().unwrap_or_default();
    spans.push(Span::styled(clean(onlooker, look.ascii), look.accent()));
    Line::from(cut(spans, c.width, look))
}

/// Whose session it is: the student's, or of somebody who looks in.
#[must_use]
pub fn whose(row: &SessionRow, ascii: bool) -> String {
    match &row.onlooker {
        Some(who) => format!("{} looks in", clean(who, ascii)),
        None => "the student".to_owned(),
    }
}

/// The session under the cursor in full.
fn about(look: Look, row: &SessionRow, width: u16) -> Vec<Line<'static>> {
    let seat = SeatId::new(row.room.clone(), row.student.clone());
    let name = vec![
        Span::styled(format!("{seat} "), look.strong()),
        Span::raw(row.id.to_string()),
    ];
    let whose = Span::styled(whose(row, look.ascii), look.accent());
    let facts = format!(
        "from {}; ends by itself in {}",
        clean(&row.address, look.ascii),
        left(row.seconds_left)
    );
    vec![
        ends(name, vec![whose], width, look),
        Line::styled(fit(&facts, usize::from(width), look.ascii), look.dim()),
    ]
}
