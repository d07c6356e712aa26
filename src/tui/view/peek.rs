//! A code for one look into a seat: what to type, where, and how long it can be used.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};

use crate::tui::human::left;
use crate::tui::peek::{Peek, State};
use crate::tui::port::Pass;
use crate::tui::text::{clean, wrap};
use crate::tui::theme::Look;

use super::{framed, middle};

const WIDTH: u16 = 64;
/// Lines that one sentence may take.
const ROWS: usize = 4;

/// Draws it in the middle.
pub fn draw(look: Look, peek: &Peek, frame: &mut Frame, area: Rect) {
    let width = usize::from(WIDTH.min(area.width).saturating_sub(4));
    let lines = match &peek.state {
        State::Waiting => vec![Line::styled("Asking the agent for a code.", look.dim())],
        State::Failed(why) => sentence(look, why, width)
            .into_iter()
            .map(|line| Line::styled(line, look.bad()))
            .collect(),
        State::Given(pass) => given(look, pass, width),
    };
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let title = format!("A look into {}", peek.seat);
    let inner = framed(look, frame, middle(area, WIDTH, height), &title);
    frame.render_widget(Text::from(lines), inner);
}

fn given(look: Look, pass: &Pass, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![
        Line::from(vec![
            Span::styled("Code   ", look.dim()),
            Span::styled(pass.code.expose().to_owned(), look.strong()),
            Span::styled(format!("   for {}", left(pass.seconds)), look.warn()),
        ]),
        Line::from(vec![
            Span::styled("Where  ", look.dim()),
            Span::raw(clean(&pass.page, look.ascii)),
        ]),
        Line::default(),
    ];
    let how = "Leave the student's field empty there and type the code. It opens this seat once, for an hour; the audit trail \
               says that you looked, and the board tells others.";
    lines.extend(sentence(look, how, width).into_iter().map(Line::raw));
    lines
}

fn sentence(look: Look, text: &str, width: usize) -> Vec<String> {
    wrap(&clean(text, look.ascii), width, ROWS, look.ascii)
}
