//! One row a seat. Only the rows in sight are built.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};

use crate::domain::snapshot::SeatView;
use crate::tui::human::{bytes, bytes_of, count, left, percent};
use crate::tui::list::id_of;
use crate::tui::model::{Link, Model};
use crate::tui::text::{clean, fit, pad, wrap};
use crate::tui::theme::Look;

use super::bits::{bar, cut, share, spark};
use super::first_row;

/// Lines that the titles take.
pub const TITLE_ROWS: u16 = 1;

const PHASE: usize = 9;
const LEASE: usize = 7;
const CPU: usize = 5;
const MEMORY: usize = 11;
const PIDS: usize = 4;
/// Characters of a container's id, as other tools show it.
const ID_SHOWN: usize = 12;

/// Widths of what changes with the screen.
#[derive(Debug, Clone, Copy)]
struct Columns {
    gap: usize,
    student: usize,
    room: Option<usize>,
    spark: usize,
    bar: usize,
    width: usize,
}

impl Columns {
    fn new(model: &Model, width: u16) -> Self {
        let wide = width >= 100;
        let (student_max, room_max) = match width {
            0..100 => (14, 10),
            100..140 => (24, 16),
            _ => (32, 24),
        };
        let longest = |text: fn(&SeatView) -> usize, least: usize, most: usize| {
            let seats = (0..model.rows.len()).filter_map(|at| model.seat_at(at));
            seats.map(text).max().unwrap_or(0).clamp(least, most)
        };
        let several = model.room.is_none() && model.rooms().len() > 1;
        Self {
            gap: if wide { 2 } else { 1 },
            student: longest(|seat| seat.student.as_str().len(), 7, student_max),
            room: several.then(|| longest(|seat| seat.room.as_str().len(), 4, room_max)),
            spark: if model.look.slow { 0 } else { size_of(width, 8, 16) },
            bar: size_of(width, 5, 10),
            width: usize::from(width),
        }
    }
}

/// Nothing on a narrow screen, `small` on a usual one, `large` on a wide one.
fn size_of(width: u16, small: usize, large: usize) -> usize {
    match width {
        0..66 => 0,
        66..100 => small,
        _ => large,
    }
}

/// Draws titles and rows, or what to do when there are none.
pub fn draw(model: &Model, frame: &mut Frame, area: Rect) {
    if model.rows.is_empty() {
        return draw_empty(model, frame, area);
    }
    let columns = Columns::new(model, area.width);
    let height = usize::from(area.height.saturating_sub(TITLE_ROWS));
    let top = first_row(model.top, model.at, height, model.rows.len());
    let mut lines = vec![titles(model.look, columns)];
    let last = (top + height).min(model.rows.len());
    lines.extend((top..last).filter_map(|at| Some(row(model, columns, at, model.seat_at(at)?))));
    frame.render_widget(Text::from(lines), area);
}

fn draw_empty(model: &Model, frame: &mut Frame, area: Rect) {
    let text = match (&model.snapshot, &model.link) {
        (None, Link::Lost(_)) => "Waiting for the agent to answer again.",
        (None, _) => "Waiting for the agent.",
        _ if !model.filter.value().is_empty() => "No seat matches the filter. Esc clears it.",
        _ if model.rooms().is_empty() => "No rooms. Press O to open one, ? for help.",
        _ => "No seats in this room. Press O to add some, Tab for another room.",
    };
    let y = area.y + area.height / 3;
    let line = Rect::new(area.x, y, area.width, 1).intersection(area);
    frame.render_widget(Line::raw(text).centered(), line);
}

fn titles(look: Look, c: Columns) -> Line<'static> {
    let name = |title: &str, width| pad(title, width, look.ascii);
    let graph = |width: usize| (width > 0).then(|| " ".repeat(width));
    let columns = [
        Some(name("STUDENT", c.student)),
        c.room.map(|width| name("ROOM", width)),
        Some(format!("{:PHASE$}", "PHASE")),
        Some(format!("{:>LEASE$}", "LEASE")),
        Some(format!("{:>CPU$}", "CPU %")),
        graph(c.spark),
        Some(format!("{:>MEMORY$}", "MEMORY")),
        graph(c.bar),
        Some(format!("{:>PIDS$}", "PIDS")),
        Some("NOTE".to_owned()),
    ];
    let shown: Vec<String> = columns.into_iter().flatten().collect();
    let text = format!("  {}", shown.join(&" ".repeat(c.gap)));
    Line::styled(fit(&text, c.width, look.ascii), look.dim())
}

fn row(model: &Model, c: Columns, at: usize, seat: &SeatView) -> Line<'static> {
    let look = model.look;
    let here = model.cursor.is_some() && at == model.at;
    let mut spans = names(model, c, seat, here);
    if has_figures(seat) {
        spans.extend(figures(look, c, seat));
    }
    spans.extend(note(look, seat));
    Line::from(cut(spans, c.width, look))
}

fn has_figures(seat: &SeatView) -> bool {
    seat.cpu_percent.is_some() || seat.memory_bytes.is_some() || seat.pids.is_some()
}

fn names(model: &Model, c: Columns, seat: &SeatView, here: bool) -> Vec<Span<'static>> {
    let look = model.look;
    let gap = " ".repeat(c.gap);
    let name_style = if here { look.chosen() } else { Style::new() };
    let cursor = if here { look.pick("▸", ">") } else { " " };
    let mark = if model.marks.contains_key(&id_of(seat)) {
        look.pick("●", "*")
    } else {
        " "
    };
    let mut spans = vec![
        Span::styled(cursor, look.accent()),
        Span::styled(mark, look.accent()),
        Span::styled(pad(seat.student.as_str(), c.student, look.ascii), name_style),
        Span::raw(gap.clone()),
    ];
    if let Some(room) = c.room {
        spans.push(Span::raw(pad(seat.room.as_str(), room, look.ascii) + &gap));
    }
    spans.push(Span::styled(
        format!("{:PHASE$}{gap}", seat.phase.word()),
        look.phase(seat.phase),
    ));
    let lease = seat.lease_seconds_left.filter(|_| !seat.held);
    let text = match lease {
        Some(seconds) => left(seconds),
        None if seat.held => "held".to_owned(),
        None => "-".to_owned(),
    };
    spans.push(Span::styled(format!("{text:>LEASE$}{gap}"), lease_style(look, lease)));
    spans
}

/// The last ten minutes are worth a look.
fn lease_style(look: Look, lease: Option<u64>) -> Style {
    match lease {
        Some(0..60) => look.bad(),
        Some(60..600) => look.warn(),
        Some(_) => Style::new(),
        None => look.dim(),
    }
}

fn figures(look: Look, c: Columns, seat: &SeatView) -> Vec<Span<'static>> {
    let gap = " ".repeat(c.gap);
    let limit = seat.cpu_limit_percent.max(1.0);
    let cpu_style = look.load(f64::from(seat.cpu_percent.unwrap_or(0.0) / limit));
    let cpu = seat.cpu_percent.map_or_else(|| "-".to_owned(), percent);
    let mut spans = vec![Span::styled(format!("{cpu:>CPU$}{gap}"), cpu_style)];
    if c.spark > 0 {
        let line = spark(look, &seat.cpu_history, limit, c.spark);
        spans.push(Span::styled(
            line + &gap,
            if look.color { look.good() } else { Style::new() },
        ));
    }
    spans.extend(memory(look, c, seat));
    let pids = seat.pids.map_or_else(|| "-".to_owned(), |n| n.to_string());
    spans.push(Span::raw(format!("{pids:>PIDS$}{gap}")));
    spans
}

fn memory(look: Look, c: Columns, seat: &SeatView) -> Vec<Span<'static>> {
    let gap = " ".repeat(c.gap);
    let (text, load) = match (seat.memory_bytes, seat.memory_limit_bytes) {
        (Some(used), Some(limit)) => (bytes_of(used, limit), share(used, limit)),
        (Some(used), None) => (bytes(used), 0.0),
        (None, _) => ("-".to_owned(), 0.0),
    };
    let style = look.load(load);
    let mut spans = vec![Span::styled(format!("{text:>MEMORY$}{gap}"), style)];
    if c.bar > 0 {
        spans.extend(bar(look, load, c.bar, style));
        spans.push(Span::raw(gap));
    }
    spans
}

/// What is to be said about a seat in few words: its fault, else what happens to it.
fn note(look: Look, seat: &SeatView) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    if seat.oom_kills > 0 {
        spans.push(Span::styled(format!("{} OOM ", seat.oom_kills), look.bad()));
    }
    if let Some(fault) = &seat.fault {
        spans.push(Span::styled(clean(&fault.text, look.ascii), look.bad()));
    } else {
        spans.push(Span::styled(clean(&seat.doing, look.ascii), look.dim()));
    }
    spans
}

/// Lines that a long text about the seat under the cursor may take.
const SAYING_ROWS: usize = 2;

/// Lines that the part below the table takes on a screen that has room for it.
pub fn detail_rows(model: &Model) -> u16 {
    let Some(seat) = model.seat() else { return 0 };
    2 + u16::try_from(saying(model, seat, model.size.0).len()).unwrap_or(0)
}

/// What is wrong with a seat or under way, in full.
fn saying(model: &Model, seat: &SeatView, width: u16) -> Vec<String> {
    let ascii = model.look.ascii;
    let text = match &seat.fault {
        Some(fault) => fault.to_string(),
        None => seat.doing.clone(),
    };
    wrap(&clean(&text, ascii), usize::from(width), SAYING_ROWS, ascii)
}

/// Tells about the seat under the cursor, below the table.
pub fn draw_detail(model: &Model, frame: &mut Frame, area: Rect) {
    let (Some(seat), false) = (model.seat(), area.is_empty()) else {
        return;
    };
    let look = model.look;
    let mut lines = vec![
        detail_title(look, seat, area.width),
        Line::from(cut(facts(look, seat), usize::from(area.width), look)),
    ];
    let style = if seat.fault.is_some() { look.bad() } else { Style::new() };
    let said = saying(model, seat, area.width).into_iter();
    lines.extend(said.map(|line| Line::styled(line, style)));
    frame.render_widget(Text::from(lines), area);
}

fn detail_title(look: Look, seat: &SeatView, width: u16) -> Line<'static> {
    let name = format!(" {} ", id_of(seat));
    let rule = look.pick("─", "-");
    let tail = usize::from(width).saturating_sub(name.len() + 2);
    Line::from(vec![
        Span::styled(rule.repeat(2), look.dim()),
        Span::styled(name, look.strong()),
        Span::styled(rule.repeat(tail), look.dim()),
    ])
}

fn facts(look: Look, seat: &SeatView) -> Vec<Span<'static>> {
    let mut spans = vec![Span::styled(seat.phase.word(), look.phase(seat.phase))];
    let mut fact = |name: &'static str, value: String| {
        spans.push(Span::styled(format!("   {name} "), look.dim()));
        spans.push(Span::raw(value));
    };
    if !seat.route.is_empty() {
        fact("route", clean(&seat.route, look.ascii));
    }
    if let Some(id) = &seat.container_id {
        fact("container", id.as_str().chars().take(ID_SHOWN).collect());
    }
    if let Some(id) = &seat.archive_id {
        fact("archive", id.to_string());
    }
    if seat.oom_kills > 0 {
        spans.push(Span::styled(
            format!("   {} by the kernel for memory", count(seat.oom_kills as usize, "kill")),
            look.bad(),
        ));
    }
    spans
}
