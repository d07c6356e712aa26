//! The frame of every list that lies over the board: titles, the rows in sight, what is known of the one under the
//! cursor, the filter in the lower edge. Only the rows in sight are built.

use std::ops::Range;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};

use crate::tui::human::count;
use crate::tui::listing::{Asked, Listed, Listing, Rows};
use crate::tui::model::{Link, Model};
use crate::tui::text::{clean, fit, wrap};
use crate::tui::theme::Look;

use super::bits::{cut, join};
use super::{first_row, framed};

/// Lines that the titles take.
const TITLE_ROWS: u16 = 1;
/// From this many lines on there is room for what is known of the thing under the cursor.
const DETAIL_FROM_ROWS: u16 = 12;
/// Lines that it takes.
const DETAIL_ROWS: u16 = 3;
/// Characters of a moment without its fractions and zone.
pub const MOMENT: usize = 16;

/// Lines left for rows in a box of `height` lines.
#[must_use]
pub fn rows(height: u16) -> u16 {
    let inner = height.saturating_sub(super::FRAME_ROWS + TITLE_ROWS);
    inner.saturating_sub(detail_rows(height))
}

fn detail_rows(height: u16) -> u16 {
    if height >= DETAIL_FROM_ROWS { DETAIL_ROWS } else { 0 }
}

/// What a list says of itself.
pub struct Words {
    /// Above it.
    pub title: String,
    /// One of its things.
    pub one: &'static str,
    /// What is said when there are none.
    pub none: String,
}

/// How its rows are drawn.
pub trait Face<R> {
    /// The line of titles, and the rows of a range, for a width.
    fn lines(&self, rows: Range<usize>, width: u16) -> Vec<Line<'static>>;

    /// What is known of a thing in full, in [`DETAIL_ROWS`] - 1 lines.
    fn about(&self, row: &R, width: u16) -> Vec<Line<'static>>;
}

/// Draws it.
pub fn draw<R: Listed>(
    model: &Model,
    list: &Listing<R>,
    (words, face): (&Words, &impl Face<R>),
    typing: bool,
    frame: &mut Frame,
    area: Rect,
) {
    let look = model.look;
    let title = fit(&words.title, usize::from(area.width.saturating_sub(6)), look.ascii);
    let inner = framed(look, frame, area, &title);
    draw_edge(model, list, words.one, typing, frame, area);
    if list.len() == 0 {
        return draw_empty(look, list, words, frame, inner);
    }
    let height = usize::from(rows(area.height));
    let top = first_row(list.top, list.at, height, list.len());
    let lines = face.lines(top..(top + height).min(list.len()), inner.width);
    frame.render_widget(Text::from(lines), inner);
    let detail = detail_rows(area.height);
    let below = Rect {
        y: inner.bottom().saturating_sub(detail),
        height: detail,
        ..inner
    };
    if let (Some(row), 1..) = (list.chosen(), detail) {
        let rule = look.pick("─", "-").repeat(usize::from(inner.width));
        let mut lines = vec![Line::styled(rule, look.dim())];
        lines.extend(face.about(row, inner.width));
        frame.render_widget(Text::from(lines), below);
    }
}

/// What is wrong with the answer, how many there are, and the filter, in the lower edge of the frame. What is wrong gives
/// way: the filter is typed at its end.
fn draw_edge<R: Listed>(model: &Model, list: &Listing<R>, one: &str, typing: bool, frame: &mut Frame, area: Rect) {
    let look = model.look;
    let mut parts = Vec::new();
    if list.asked == Asked::Here {
        parts.push(vec![Span::styled(count(list.len(), one), look.strong())]);
    }
    if list.has_any() && (list.asked == Asked::Waiting || list.is_slow()) {
        parts.push(vec![Span::styled("asking the agent", look.dim())]);
    }
    if typing || !list.filter.value().is_empty() {
        let text = clean(list.filter.raw(), look.ascii);
        parts.push(vec![
            Span::styled("filter /", look.dim()),
            Span::styled(text, look.accent()),
        ]);
    }
    let edge = super::edge(area);
    if let Some(text) = trouble(model, list) {
        let used: usize = parts.iter().flatten().map(|span| span.width() + 2).sum();
        let text = fit(&text, usize::from(edge.width).saturating_sub(used + 2), look.ascii);
        parts.insert(0, vec![Span::styled(text, look.bad())]);
    }
    let mut spans = join(parts, &Span::raw("  "));
    if spans.is_empty() {
        return;
    }
    spans.insert(0, Span::raw(" "));
    spans.push(Span::raw(" "));
    let line = Line::from(cut(spans, usize::from(edge.width), look)).right_aligned();
    frame.render_widget(line, edge.intersection(frame.area()));
}

/// Why the rows that are shown may not be the newest.
fn trouble<R: Listed>(model: &Model, list: &Listing<R>) -> Option<String> {
    match (&model.link, &list.asked) {
        (Link::Lost(_), _) => Some("the agent does not answer".to_owned()),
        (_, Asked::Failed(why)) if list.has_any() => Some(format!("not the newest: {}", clean(why, model.look.ascii))),
        _ => None,
    }
}

fn draw_empty<R: Listed>(look: Look, list: &Listing<R>, words: &Words, frame: &mut Frame, inner: Rect) {
    let text = match (&list.asked, list.has_any()) {
        (Asked::Failed(why), _) => clean(why, look.ascii),
        (Asked::Waiting, _) => "Asking the agent.".to_owned(),
        (Asked::Here, true) => format!("No {} matches the filter. Esc clears it.", words.one),
        (Asked::Here, false) => words.none.clone(),
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

/// A moment as people write it, cut to `width` characters.
#[must_use]
pub fn moment(rfc3339: &str, width: usize, ascii: bool) -> String {
    clean(rfc3339, ascii)
        .replacen('T', " ", 1)
        .chars()
        .take(width)
        .collect()
}

/// The first spans of a row: the cursor, and the student's name.
#[must_use]
pub fn name(look: Look, text: String, here: bool) -> [Span<'static>; 2] {
    let cursor = if here { look.pick("▸ ", "> ") } else { "  " };
    let style = if here { look.chosen() } else { Style::new() };
    [Span::styled(cursor, look.accent()), Span::styled(text, style)]
}
