//! A seat's log over the whole screen. Only the lines in sight are cleaned.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Text};

use crate::tui::log::{End, Log};
use crate::tui::text::{clean, clean_bytes, fit, skip_cells};
use crate::tui::theme::Look;

use super::framed;

/// Draws it.
pub fn draw(look: Look, log: &Log, frame: &mut Frame, area: Rect) {
    let inner = framed(look, frame, area, &format!("Log of {}", log.seat));
    let width = usize::from(inner.width);
    let height = usize::from(inner.height);
    let start = log.start(height);
    let lines: Vec<Line> = log
        .ring
        .window(start, height)
        .map(|line| skip_cells(&clean_bytes(line, look.ascii), log.side))
        .map(|line| Line::raw(fit(&line, width, look.ascii)))
        .collect();
    if lines.is_empty() {
        frame.render_widget(Line::styled("Nothing yet.", look.dim()), inner);
    }
    frame.render_widget(Text::from(lines), inner);
    draw_state(look, log, frame, area);
}

/// In the lower edge of the frame: whether more is coming.
fn draw_state(look: Look, log: &Log, frame: &mut Frame, area: Rect) {
    let state = match (&log.end, log.top) {
        (End::Broken(why), _) => format!(" ended: {} ", clean(why, look.ascii)),
        (End::Over, _) => " ended ".to_owned(),
        (End::Open, None) => " following ".to_owned(),
        (End::Open, Some(_)) => " scrolled; End follows ".to_owned(),
    };
    let edge = Rect {
        x: area.x.saturating_add(2),
        y: area.bottom().saturating_sub(1),
        width: area.width.saturating_sub(4),
        height: 1,
    };
    let state = fit(&state, usize::from(edge.width), look.ascii);
    let line = Line::styled(state, look.strong()).right_aligned();
    frame.render_widget(line, edge.intersection(frame.area()));
}
