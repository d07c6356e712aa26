//! Texts that are only read: the help, made from the key table, and all notices.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};

use crate::tui::keys::{KEYS, Scope, name};
use crate::tui::layer::Topic;
use crate::tui::model::Model;
use crate::tui::text::{clean, pad, wrap};

use super::strip::level;
use super::{framed, middle};

/// Widest text that reads well.
const WIDTH: u16 = 84;
/// Cells of the column of keys.
const KEYS_WIDTH: usize = 21;
/// Cells of a time of day.
const TIME: usize = 8;
/// Lines that one notice may take.
const NOTICE_ROWS: usize = 6;

/// Draws a text from line `top` on.
pub fn draw(model: &Model, topic: Topic, top: usize, frame: &mut Frame, area: Rect) {
    let title = match topic {
        Topic::Help => "Keys",
        Topic::News => "Notices, the newest first",
    };
    let lines = lines(model, topic, area.width);
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let inner = framed(model.look, frame, middle(area, WIDTH, height), title);
    let top = top.min(lines.len().saturating_sub(usize::from(inner.height)));
    let shown: Vec<Line> = lines.into_iter().skip(top).take(usize::from(inner.height)).collect();
    frame.render_widget(Text::from(shown), inner);
}

/// The text for a screen of `width` cells.
pub fn lines(model: &Model, topic: Topic, width: u16) -> Vec<Line<'static>> {
    match topic {
        Topic::Help => help(model),
        Topic::News => news(model, usize::from(WIDTH.min(width).saturating_sub(4))),
    }
}

/// The line of the help at which a scope begins.
pub fn help_line(scope: Scope) -> usize {
    let before = Scope::ALL.into_iter().take_while(|other| *other != scope);
    before
        .map(|scope| 2 + KEYS.iter().filter(|binding| binding.scope == scope).count())
        .sum()
}

fn help(model: &Model) -> Vec<Line<'static>> {
    let look = model.look;
    let mut lines = Vec::new();
    for scope in Scope::ALL {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::styled(scope.title(), look.strong()));
        for binding in KEYS.iter().filter(|binding| binding.scope == scope) {
            let keys: Vec<String> = binding.keys.iter().map(|key| name(*key)).collect();
            lines.push(Line::from(vec![
                Span::styled(format!("  {:KEYS_WIDTH$}  ", keys.join(" ")), look.accent()),
                Span::raw(binding.help),
            ]));
        }
    }
    lines
}

fn news(model: &Model, width: usize) -> Vec<Line<'static>> {
    let look = model.look;
    let mut lines = Vec::new();
    for notice in model.notices.iter().rev() {
        let text = clean(&notice.text, look.ascii);
        let time = pad(&clean(&notice.time, look.ascii), TIME, look.ascii);
        let mut marks = vec![Span::styled(time + " ", look.dim()), level(look, notice.level)];
        let indent = marks.iter().map(Span::width).sum();
        for line in wrap(&text, width.saturating_sub(indent), NOTICE_ROWS, look.ascii) {
            let blank = vec![Span::raw(" ".repeat(indent))];
            let mut spans = std::mem::replace(&mut marks, blank);
            spans.push(Span::raw(line));
            lines.push(Line::from(spans));
        }
    }
    if lines.is_empty() {
        lines.push(Line::styled("No notices yet.", look.dim()));
    }
    lines
}
