//! A question: what will happen to whom, what has become of them meanwhile, and the buttons.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span, Text};

use crate::domain::command::SessionRow;
use crate::domain::snapshot::RoomView;
use crate::tui::ask::{Ask, Choice, Fate, Focus, Pin, Verb};
use crate::tui::field::Field;
use crate::tui::human::count;
use crate::tui::layer::Layer;
use crate::tui::model::Model;
use crate::tui::text::{clean, fit, wrap};
use crate::tui::theme::Look;

use super::bits::cut;
use super::listing::{MOMENT, moment};
use super::sessions::whose;
use super::{framed, middle};

const WIDTH: u16 = 64;
/// Seats that are named one by one; more are counted.
const NAMED: usize = 6;
/// Failures that are told one by one; all of them are in the notices.
const FAILURES: usize = 3;
/// Lines that the path of a restore may take.
const PATH_ROWS: usize = 4;
/// Cells of a text field.
pub(super) const FIELD: usize = 34;

/// Draws it in the middle.
pub fn draw(model: &Model, ask: &Ask, frame: &mut Frame, area: Rect) {
    let look = model.look;
    let inner_width = usize::from(WIDTH.min(area.width).saturating_sub(4));
    let mut lines = body(model, ask, inner_width);
    let field_row = field_lines(look, ask, &mut lines);
    lines.push(Line::default());
    lines.extend(if ask.sent {
        outcome(look, ask, inner_width)
    } else {
        vec![buttons(look, ask)]
    });
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let inner = framed(look, frame, middle(area, WIDTH, height), &title(ask));
    frame.render_widget(Text::from(lines), inner);
    if let (Some(row), Some(field), Focus::Field, false) = (field_row, &ask.field, ask.focus, ask.sent) {
        put_cursor(frame, inner, row, label(ask).len(), field);
    }
}

fn title(ask: &Ask) -> String {
    let verb = ask.verb.word();
    if let Some(archive) = &ask.archive {
        return format!("{verb} {}?", archive.seat);
    }
    if let Some(session) = &ask.session {
        return format!("{verb} a session of {}/{}?", session.room, session.student);
    }
    match (&ask.pins[..], &ask.room) {
        ([], Some(room)) => format!("{verb} room {room}?"),
        ([one], _) => format!("{verb} {}?", one.seat),
        (many, _) => format!("{verb} {}?", count(many.len(), "seat")),
    }
}

fn body(model: &Model, ask: &Ask, width: usize) -> Vec<Line<'static>> {
    let look = model.look;
    let mut lines: Vec<Line> = wrap(ask.verb.consequence(), width, 2, look.ascii)
        .into_iter()
        .map(Line::raw)
        .collect();
    if let (Verb::Close, Some(name)) = (ask.verb, &ask.room) {
        let room = model.rooms().iter().find(|room| room.name == *name);
        lines.push(room_line(look, room));
    }
    if let Some(to) = ask.target() {
        let to = clean(&to.display().to_string(), look.ascii);
        let to = wrap(&to, width, PATH_ROWS, look.ascii);
        lines.extend(to.into_iter().map(|line| Line::styled(line, look.strong())));
    }
    if let Some(archive) = &ask.archive {
        lines.push(Line::styled(format!("from archive {}", archive.id), look.dim()));
    }
    lines.extend(ask.session.iter().flat_map(|session| session_lines(model, session)));
    let many = ask.pins.len() > 1;
    let dead = |pin: &&Pin| pin.fate(model.snapshot.as_deref()) != Fate::Same;
    let named = ask.pins.iter().filter(|pin| many || dead(pin));
    lines.extend(named.take(NAMED).map(|pin| pin_line(model, pin, width)));
    if ask.pins.len() > NAMED {
        lines.push(Line::styled(format!("and {} more", ask.pins.len() - NAMED), look.dim()));
    }
    lines
}

/// The session that a question is about, and that it is over when it has ended meanwhile.
fn session_lines(model: &Model, session: &SessionRow) -> Vec<Line<'static>> {
    let look = model.look;
    let listed = |layer: &Layer| match layer {
        Layer::Sessions(list) => list.find(&session.id).is_some(),
        _ => false,
    };
    let since = moment(&session.began, MOMENT, look.ascii);
    let (whose, address) = (whose(session, look.ascii), clean(&session.address, look.ascii));
    let mut lines = vec![Line::styled(
        format!("{whose}, from {address}, since {since} UTC"),
        look.strong(),
    )];
    if !model.layers.iter().any(listed) {
        lines.push(Line::styled("It is over by now.", look.bad()));
    }
    lines
}

fn room_line(look: Look, room: Option<&RoomView>) -> Line<'static> {
    match room {
        Some(room) => Line::styled(format!("It has {}.", count(room.seats.len(), "seat")), look.strong()),
        None => Line::styled("It is gone.", look.bad()),
    }
}

/// A target, and what has become of it while the question stood open.
fn pin_line(model: &Model, pin: &Pin, width: usize) -> Line<'static> {
    let look = model.look;
    let (text, style) = match pin.fate(model.snapshot.as_deref()) {
        Fate::Same => ("", look.dim()),
        Fate::Changed => (": has another container now; the agent will check", look.warn()),
        Fate::Gone => (": is gone", look.bad()),
    };
    let spans = vec![Span::raw(pin.seat.to_string()), Span::styled(text, style)];
    Line::from(cut(spans, width, look))
}

fn label(ask: &Ask) -> &'static str {
    match ask.verb {
        Verb::Close => "Room's name: ",
        Verb::Restore | Verb::Export => "Directory: ",
        _ => "Minutes: ",
    }
}

/// Adds the field and what is wrong with it; returns the field's row.
fn field_lines(look: Look, ask: &Ask, lines: &mut Vec<Line<'static>>) -> Option<u16> {
    let field = ask.field.as_ref()?;
    lines.push(Line::default());
    let row = u16::try_from(lines.len()).ok()?;
    let focused = ask.focus == Focus::Field && !ask.sent;
    lines.push(Line::from(vec![
        Span::styled(label(ask), look.dim()),
        field_span(look, field, focused),
    ]));
    let problem = if ask.sent { None } else { ask.problem() };
    lines.push(Line::styled(
        clean(&problem.unwrap_or_default(), look.ascii),
        look.warn(),
    ));
    Some(row)
}

/// The visible part of a text field.
pub(super) fn field_span(look: Look, field: &Field, focused: bool) -> Span<'static> {
    let (start, _) = field.scroll(FIELD - 1);
    let shown = crate::tui::text::skip_cells(&clean(field.raw(), look.ascii), start);
    let text = crate::tui::text::pad(&shown, FIELD, look.ascii);
    let style = if focused {
        look.writing()
    } else {
        ratatui::style::Style::new()
    };
    Span::styled(
        text.replace(' ', if focused { " " } else { look.pick("·", "_") }),
        style,
    )
}

/// Puts the terminal's cursor into a field.
pub(super) fn put_cursor(frame: &mut Frame, inner: Rect, row: u16, indent: usize, field: &Field) {
    let (_, at) = field.scroll(FIELD - 1);
    let x = inner.x.saturating_add(u16::try_from(indent + at).unwrap_or(u16::MAX));
    let position = Position::new(x, inner.y.saturating_add(row));
    if inner.contains(position) {
        frame.set_cursor_position(position);
    }
}

fn buttons(look: Look, ask: &Ask) -> Line<'static> {
    let mut spans = Vec::new();
    for (at, choice) in ask.choices.iter().enumerate() {
        let word = match choice {
            Choice::Cancel => "Cancel".to_owned(),
            Choice::Seats => format!("{} {}", ask.verb.word(), whom(ask)),
            Choice::Files if ask.verb == Verb::Export => "Export its work".to_owned(),
            Choice::Files => "Restore its files".to_owned(),
            Choice::Session => "Revoke this session".to_owned(),
            Choice::Room(room) if ask.verb == Verb::Close => format!("Archive and close {room:.20}"),
            Choice::Room(room) => format!("Whole room {room:.20}"),
        };
        spans.push(button(look, &word, ask.focus == Focus::Button(at)));
        spans.push(Span::raw("  "));
    }
    Line::from(spans)
}

fn whom(ask: &Ask) -> String {
    match &ask.pins[..] {
        [one] => fit(one.seat.student.as_str(), 20, true),
        many => count(many.len(), "seat"),
    }
}

/// A button; the one in focus stands out by more than colour.
pub(super) fn button(look: Look, word: &str, focused: bool) -> Span<'static> {
    if focused {
        Span::styled(
            format!("{} {word} {}", look.pick("▸", ">"), look.pick("◂", "<")),
            look.chosen(),
        )
    } else {
        Span::raw(format!("[ {word} ]"))
    }
}

/// What comes of a question that was answered.
fn outcome(look: Look, ask: &Ask, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if !ask.jobs.is_empty() {
        let text = format!("Under way: {}. Esc leaves; it goes on.", ask.jobs.len());
        lines.push(Line::styled(text, look.dim()));
    }
    for failure in ask.failures.iter().take(FAILURES) {
        let text = clean(failure, look.ascii);
        lines.extend(
            wrap(&text, width, 3, look.ascii)
                .into_iter()
                .map(|l| Line::styled(l, look.bad())),
        );
    }
    if ask.failures.len() > FAILURES {
        let more = ask.failures.len() - FAILURES;
        lines.push(Line::styled(
            format!("and {more} more: press n on the board"),
            look.bad(),
        ));
    }
    if ask.jobs.is_empty() {
        lines.push(Line::from(button(look, "Back", true)));
    }
    lines
}
