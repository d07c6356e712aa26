//! The open-room form, with what is wrong under each field.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};

use crate::tui::field::Field;
use crate::tui::form::{Focus, Form};
use crate::tui::text::{clean, fit, wrap};
use crate::tui::theme::Look;

use super::dialog::{button, field_span, put_cursor};
use super::{framed, middle};

const WIDTH: u16 = 70;
/// Cells of the labels.
const LABEL: usize = 11;
/// Lines that a failure may take.
const FAILURE_ROWS: usize = 3;

/// Draws it in the middle.
pub fn draw(look: Look, form: &Form, frame: &mut Frame, area: Rect) {
    let mut lines = Vec::new();
    let mut cursor = None;
    for focus in [Focus::Room, Focus::Template, Focus::Seats, Focus::Minutes, Focus::Exam] {
        if focus == form.focus {
            cursor = u16::try_from(lines.len()).ok().zip(field(form, focus));
        }
        lines.extend(entry(look, form, focus));
    }
    let width = usize::from(WIDTH.min(area.width).saturating_sub(4));
    lines.extend(status(look, form, width));
    lines.push(buttons(look, form));
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let inner = framed(look, frame, middle(area, WIDTH, height), "Open a room");
    let hidden = scrolled(form, lines.len(), inner.height);
    let shown: Vec<Line> = lines.into_iter().skip(usize::from(hidden)).collect();
    frame.render_widget(Text::from(shown), inner);
    if let Some((row, field)) = cursor.filter(|(row, _)| *row >= hidden) {
        put_cursor(frame, inner, row - hidden, LABEL, field);
    }
}

/// Lines hidden above on a low screen: as many as it takes to see the buttons when the focus is in the lower half.
fn scrolled(form: &Form, lines: usize, height: u16) -> u16 {
    let over = u16::try_from(lines).unwrap_or(u16::MAX).saturating_sub(height);
    let low = matches!(form.focus, Focus::Room | Focus::Template);
    if low { 0 } else { over }
}

fn field(form: &Form, focus: Focus) -> Option<&Field> {
    match focus {
        Focus::Room => Some(&form.room),
        Focus::Seats => Some(&form.seats),
        Focus::Minutes => Some(&form.minutes),
        _ => None,
    }
}

/// A field's line, and below it what is wrong or what it is for.
fn entry(look: Look, form: &Form, focus: Focus) -> [Line<'static>; 2] {
    let focused = form.focus == focus;
    let style = if focused { look.accent() } else { Style::new() };
    let mark = if focused { look.pick("▸", ">") } else { " " };
    let text = format!("{mark} {}", label(focus));
    let label = Span::styled(format!("{text:LABEL$}"), style);
    let value = match field(form, focus) {
        Some(field) => field_span(look, field, focused),
        None => choice(look, form, focus, focused),
    };
    let (below, style) = below(look, form, focus);
    [
        Line::from(vec![label, value]),
        Line::styled(format!("{:LABEL$}{below}", ""), style),
    ]
}

fn label(focus: Focus) -> &'static str {
    match focus {
        Focus::Room => "Room",
        Focus::Template => "Template",
        Focus::Seats => "Seats",
        Focus::Minutes => "Minutes",
        Focus::Exam => "Exam",
        Focus::Open | Focus::Cancel => "",
    }
}

fn choice(look: Look, form: &Form, focus: Focus, focused: bool) -> Span<'static> {
    let text = match focus {
        Focus::Exam => if form.exam { "[x] yes" } else { "[ ] no" }.to_owned(),
        _ => match form.chosen() {
            Some(name) => format!("{} {name} {}", look.pick("◂", "<"), look.pick("▸", ">")),
            None => "the default one".to_owned(),
        },
    };
    Span::styled(text, if focused { look.chosen() } else { Style::new() })
}

/// The line below a field: what is wrong once there is something to be wrong, else a hint.
fn below(look: Look, form: &Form, focus: Focus) -> (String, Style) {
    let touched = form.pressed || field(form, focus).is_some_and(|field| !field.value().is_empty());
    match form.problem(focus) {
        Some(problem) if touched => (fit(&clean(&problem, look.ascii), 56, look.ascii), look.warn()),
        _ => (hint(form, focus), look.dim()),
    }
}

fn hint(form: &Form, focus: Focus) -> String {
    match focus {
        Focus::Room => "such as exam-1".to_owned(),
        Focus::Template => match form.templates.len() {
            0 | 1 => String::new(),
            n => format!("{} of {n}; left and right choose", form.template + 1),
        },
        Focus::Seats => "a number, or students: an,bo,eve".to_owned(),
        Focus::Minutes => "empty: as long as the template says".to_owned(),
        Focus::Exam => "closed network, guarded routes; Space changes".to_owned(),
        Focus::Open | Focus::Cancel => String::new(),
    }
}

fn status(look: Look, form: &Form, width: usize) -> Vec<Line<'static>> {
    if form.job.is_some() {
        return vec![Line::styled("Asking the agent. Esc leaves; it goes on.", look.dim())];
    }
    let Some(failure) = &form.failure else {
        return Vec::new();
    };
    let text = clean(failure, look.ascii);
    let lines = wrap(&text, width, FAILURE_ROWS, look.ascii);
    lines.into_iter().map(|line| Line::styled(line, look.bad())).collect()
}

fn buttons(look: Look, form: &Form) -> Line<'static> {
    Line::from(vec![
        Span::raw(" ".repeat(LABEL)),
        button(look, "Open", form.focus == Focus::Open),
        Span::raw("  "),
        button(look, "Cancel", form.focus == Focus::Cancel),
    ])
}
