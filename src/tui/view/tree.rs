//! One directory of an archive. Only the rows in sight are built, and every name is cleaned.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};

use crate::pack::entry::{Kind, shown};
use crate::tui::browse::Browse;
use crate::tui::human::{count, size};
use crate::tui::listing::Asked;
use crate::tui::text::{clean, fit, wrap};
use crate::tui::theme::Look;

use super::bits::cut;
use super::{first_row, framed};

/// Lines that the directory's path takes.
const PLACE_ROWS: u16 = 1;
const MODE: usize = 5;
const SIZE: usize = 9;

/// Lines left for what is in a directory in a box of `height` lines.
#[must_use]
pub fn rows(height: u16) -> u16 {
    height.saturating_sub(super::FRAME_ROWS + PLACE_ROWS)
}

/// Draws it.
pub fn draw(look: Look, browse: &Browse, frame: &mut Frame, area: Rect) {
    let title = format!("{} of {}", browse.archive.seat, clean(&browse.created, look.ascii));
    let inner = framed(
        look,
        frame,
        area,
        &fit(&title, usize::from(area.width.saturating_sub(6)), look.ascii),
    );
    let width = usize::from(inner.width);
    match &browse.asked {
        Asked::Waiting => return frame.render_widget(Line::styled("Asking the agent.", look.dim()), inner),
        Asked::Failed(why) => {
            let lines = wrap(&clean(why, look.ascii), width, usize::from(inner.height), look.ascii);
            let lines: Vec<Line> = lines.into_iter().map(|line| Line::styled(line, look.bad())).collect();
            return frame.render_widget(Text::from(lines), inner);
        }
        Asked::Here => {}
    }
    let height = usize::from(rows(area.height));
    let top = first_row(browse.top, browse.at, height, browse.len());
    let last = (top + height).min(browse.len());
    let mut lines = vec![place(look, browse, width)];
    lines.extend((top..last).filter_map(|at| row(look, browse, at, width)));
    if browse.len() == 0 {
        lines.push(Line::styled("  empty", look.dim()));
    }
    frame.render_widget(Text::from(lines), inner);
    draw_edge(look, browse, frame, area);
}

/// The path of the directory; of a long one its end.
fn place(look: Look, browse: &Browse, width: usize) -> Line<'static> {
    let path = clean(&browse.place(), look.ascii);
    let length = path.chars().count();
    let path = if length > width {
        let tail: String = path.chars().skip(length + 1 - width).collect();
        format!("{}{tail}", look.pick("…", "~"))
    } else {
        path
    };
    Line::styled(fit(&path, width, look.ascii), look.strong())
}

fn row(look: Look, browse: &Browse, at: usize, width: usize) -> Option<Line<'static>> {
    let node = browse.row(at)?;
    let here = at == browse.at;
    let cursor = if here { look.pick("▸ ", "> ") } else { "  " };
    let name = if here { look.chosen() } else { Style::new() };
    let slash = if node.is_directory() { "/" } else { "" };
    let mode = clean(&node.mode, look.ascii);
    let mut spans = vec![
        Span::styled(cursor, look.accent()),
        Span::styled(format!("{mode:>MODE$} {:>SIZE$}  ", size(node.size)), look.dim()),
        Span::styled(format!("{}{slash}", clean(&shown(&node.name), look.ascii)), name),
    ];
    if !node.link.is_empty() {
        let link = clean(&shown(&node.link), look.ascii);
        let arrow = if node.kind == Some(Kind::HardLink) {
            "same as"
        } else {
            "->"
        };
        spans.push(Span::styled(format!(" {arrow} {link}"), look.dim()));
    }
    if node.torn {
        spans.push(Span::styled("  torn: it changed while it was read", look.warn()));
    }
    if let Some(why) = &node.left_out {
        spans.push(Span::styled(
            format!("  not stored: {}", clean(why, look.ascii)),
            look.warn(),
        ));
    }
    Some(Line::from(cut(spans, width, look)))
}

/// In the lower edge of the frame: how much there is.
fn draw_edge(look: Look, browse: &Browse, frame: &mut Frame, area: Rect) {
    let more = if browse.is_cut() {
        "; the archive has more than can be listed here"
    } else {
        ""
    };
    let edge = super::edge(area);
    let text = format!(" {}{more} ", count(browse.len(), "thing"));
    let line = Line::styled(fit(&text, usize::from(edge.width), look.ascii), look.strong()).right_aligned();
    frame.render_widget(line, edge.intersection(frame.area()));
}
