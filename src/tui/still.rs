//! The board as plain text, for a pipe.

use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use unicode_width::UnicodeWidthStr;

use crate::domain::snapshot::Snapshot;

use super::model::{Link, Model};
use super::theme::Look;
use super::view;

/// The board as it would look on a terminal of that size, without keys, cursor and colours; lines without spaces at
/// their ends, nothing below the last line that says something.
#[must_use]
pub fn draw_text(snapshot: &Snapshot, width: u16, height: u16) -> String {
    let mut model = Model::new(Look::PLAIN, (width, height));
    model.link = Link::Attached;
    model.take(Arc::new(snapshot.clone()));
    model.cursor = None;
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| view::draw_still(&model, frame));
    text_of(terminal.backend().buffer())
}

pub(super) fn text_of(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let lines: Vec<String> = buffer.content.chunks(width).map(line_of).collect();
    lines.join("\n").trim_end().to_owned() + "\n"
}

/// One line. The cells that a wide character covers are no characters of their own.
fn line_of(cells: &[Cell]) -> String {
    let mut line = String::new();
    let mut covered = 0;
    for cell in cells {
        if covered > 0 {
            covered -= 1;
            continue;
        }
        line.push_str(cell.symbol());
        covered = cell.symbol().width().saturating_sub(1);
    }
    line.trim_end().to_owned()
}
