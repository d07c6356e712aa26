//! A seat's log, or a part of an archive, over the whole screen. Only the lines in sight are cleaned.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Text};

use crate::tui::human::size;
use crate::tui::log::{End, Log, Source};
use crate::tui::port::PART_MAX;
use crate::tui::text::{clean, clean_bytes, fit, skip_cells};
use crate::tui::theme::Look;

use super::framed;

/// Draws it.
pub fn draw(look: Look, log: &Log, frame: &mut Frame, area: Rect) {
    let title = clean(&title(&log.of), look.ascii);
    let title = fit(&title, usize::from(area.width.saturating_sub(6)), look.ascii);
    let inner = framed(look, frame, area, &title);
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
        let text = if log.end == End::Open { "Nothing yet." } else { "Empty." };
        frame.render_widget(Line::styled(text, look.dim()), inner);
    }
    frame.render_widget(Text::from(lines), inner);
    draw_state(look, log, frame, area);
}

fn title(of: &Source) -> String {
    match of {
        Source::Seat(seat) => format!("Log of {seat}"),
        Source::Printed(archive) => format!("What {} had printed", archive.seat),
        Source::File { archive, path, .. } => format!("{path} of {}", archive.seat),
    }
}

/// In the lower edge of the frame: whether more is coming.
fn draw_state(look: Look, log: &Log, frame: &mut Frame, area: Rect) {
    let state = match (&log.end, log.top) {
        (End::Broken(why), _) => format!(" ended: {} ", clean(why, look.ascii)),
        _ if !log.is_live() => part_state(log),
        (End::Over, _) => " ended ".to_owned(),
        (End::Open, None) => " following ".to_owned(),
        (End::Open, Some(_)) => " scrolled; End follows ".to_owned(),
    };
    let edge = super::edge(area);
    let state = fit(&state, usize::from(edge.width), look.ascii);
    let line = Line::styled(state, look.strong()).right_aligned();
    frame.render_widget(line, edge.intersection(frame.area()));
}

/// How much of a part is here, and that it is no text.
fn part_state(log: &Log) -> String {
    let binary = if log.binary { "binary; " } else { "" };
    match (&log.end, &log.of) {
        (End::Open, _) => format!(" {binary}{} so far ", size(log.came)),
        (_, Source::File { size: whole, .. }) if log.is_cut() => {
            format!(" {binary}the first {} of {} ", size(PART_MAX as u64), size(*whole))
        }
        _ if log.is_cut() => format!(" {binary}the first {} ", size(PART_MAX as u64)),
        _ => format!(" {binary}all {} ", size(log.came)),
    }
}
