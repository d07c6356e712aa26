//! Draws the model. Reads it only; every height that keys depend on is computed here, once.

mod archives;
mod bits;
mod dialog;
mod footer;
mod form;
mod header;
mod listing;
mod log;
mod page;
mod peek;
mod sessions;
mod strip;
mod table;
mod tree;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::keys::Scope;
use super::layer::{Layer, Topic};
use super::model::Model;
use super::theme::Look;

/// From this height on the chosen seat is told about below the table.
const DETAIL_FROM_ROWS: u16 = 20;
/// From this height on that has the same room whatever there is to tell.
const DETAIL_TALL_FROM_ROWS: u16 = 34;
/// Below this height only the first header line, the table and the footer are left.
const LOW_BELOW_ROWS: u16 = 12;
/// Lines that the frame of an overlay takes.
const FRAME_ROWS: u16 = 2;

/// The parts of the screen, from top to bottom.
struct Parts {
    header: Rect,
    table: Rect,
    detail: Rect,
    strip: Rect,
    news: Rect,
    footer: Rect,
}

fn parts(model: &Model, area: Rect) -> Parts {
    let low = area.height < LOW_BELOW_ROWS;
    let detail = match area.height {
        _ if model.cursor.is_none() => 0,
        rows if rows >= DETAIL_TALL_FROM_ROWS => 4,
        rows if rows >= DETAIL_FROM_ROWS => table::detail_rows(model),
        _ => 0,
    };
    let news = if low { 0 } else { strip::news_rows(model) };
    let heights = [
        Constraint::Length(header::rows(model, low)),
        Constraint::Fill(1),
        Constraint::Length(detail),
        Constraint::Length(strip::rows(model, low)),
        Constraint::Length(news),
        Constraint::Length(1),
    ];
    let [header, table, detail, strip, news, footer] = Layout::vertical(heights).areas(area);
    Parts {
        header,
        table,
        detail,
        strip,
        news,
        footer,
    }
}

/// Rows of seats that the terminal has room for.
#[must_use]
pub fn table_height(model: &Model) -> usize {
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    usize::from(parts(model, area).table.height.saturating_sub(table::TITLE_ROWS))
}

/// The first row to show, so that the cursor's row is in sight and no room is wasted at the end.
#[must_use]
pub fn first_row(top: usize, at: usize, height: usize, count: usize) -> usize {
    let lowest = (at + 1).saturating_sub(height.max(1));
    top.clamp(lowest, at.max(lowest))
        .min(count.saturating_sub(height).max(lowest))
}

/// Rows of a list over the board that the terminal has room for.
#[must_use]
pub fn list_height(model: &Model) -> usize {
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    usize::from(listing::rows(above_strip(&parts(model, area)).height))
}

/// Things of a directory that the terminal has room for.
#[must_use]
pub fn tree_height(model: &Model) -> usize {
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    usize::from(tree::rows(above_strip(&parts(model, area)).height))
}

/// All that is above the strip: what goes on stays in sight.
fn above_strip(parts: &Parts) -> Rect {
    Rect {
        height: parts.strip.y.saturating_sub(parts.header.y),
        ..parts.header
    }
}

/// The help's line at which a scope begins.
#[must_use]
pub fn help_line(model: &Model, scope: Scope) -> usize {
    let last = page_lines(model, Topic::Help).saturating_sub(page_height(model.size));
    page::help_line(scope).min(last)
}

/// Lines of a log that the terminal has room for.
#[must_use]
pub fn log_height(size: (u16, u16)) -> usize {
    usize::from(size.1.saturating_sub(FRAME_ROWS + 1))
}

/// Lines of a text that the terminal has room for.
#[must_use]
pub fn page_height(size: (u16, u16)) -> usize {
    log_height(size)
}

/// Lines that a text has at this width.
#[must_use]
pub fn page_lines(model: &Model, topic: Topic) -> usize {
    page::lines(model, topic, model.size.0).len()
}

/// Draws everything.
pub fn draw(model: &Model, frame: &mut Frame) {
    let parts = draw_board(model, frame);
    for (at, layer) in model.layers.iter().enumerate() {
        let typing = matches!(model.layers.get(at + 1), Some(Layer::Filter));
        draw_layer(model, layer, typing, frame, &parts);
    }
    footer::draw(model, frame, parts.footer);
}

/// Draws the board as a picture: nothing that asks for a key.
pub(super) fn draw_still(model: &Model, frame: &mut Frame) {
    draw_board(model, frame);
}

fn draw_board(model: &Model, frame: &mut Frame) -> Parts {
    let parts = parts(model, frame.area());
    header::draw(model, frame, parts.header);
    table::draw(model, frame, parts.table);
    table::draw_detail(model, frame, parts.detail);
    strip::draw(model, frame, parts.strip);
    strip::draw_news(model, frame, parts.news);
    parts
}

/// Draws a layer; `typing` says whether its filter is being typed.
fn draw_layer(model: &Model, layer: &Layer, typing: bool, frame: &mut Frame, parts: &Parts) {
    let above_footer = Rect {
        height: frame.area().height.saturating_sub(1),
        ..frame.area()
    };
    match layer {
        Layer::Ask(ask) => dialog::draw(model, ask, frame, above_footer),
        Layer::Form(form) => form::draw(model.look, form, frame, above_footer),
        Layer::Archives(list) => archives::draw(model, list, typing, frame, above_strip(parts)),
        Layer::Sessions(list) => sessions::draw(model, list, typing, frame, above_strip(parts)),
        Layer::Peek(peek) => peek::draw(model.look, peek, frame, above_footer),
        Layer::Tree(browse) => tree::draw(model.look, browse, frame, above_strip(parts)),
        Layer::Log(log) => log::draw(model.look, log, frame, above_footer),
        Layer::Page(topic, top) => page::draw(model, *topic, *top, frame, above_footer),
        Layer::Filter => footer::filter_cursor(model, frame, parts.header, above_strip(parts)),
    }
}

/// A box in the middle, as large as it can be up to `width` × `height`.
fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}

/// The lower edge of a frame, where its state stands.
fn edge(area: Rect) -> Rect {
    Rect {
        x: area.x.saturating_add(2),
        y: area.bottom().saturating_sub(1),
        width: area.width.saturating_sub(4),
        height: 1,
    }
}

/// Clears a box, frames it and gives back what is inside.
fn framed(look: Look, frame: &mut Frame, area: Rect, title: &str) -> Rect {
    use ratatui::symbols::border;
    use ratatui::text::Span;
    use ratatui::widgets::{Block, Clear, Padding};

    const ASCII: border::Set = border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    };
    let block = Block::bordered()
        .border_set(look.pick(border::ROUNDED, ASCII))
        .title(Span::styled(format!(" {title} "), look.strong()))
        .padding(Padding::horizontal(1));
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    inner
}
