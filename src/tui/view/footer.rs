//! The last line: the keys that would do something now, straight from the key table.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use crate::tui::act::applies;
use crate::tui::field::Field;
use crate::tui::form::Focus;
use crate::tui::keys::{Binding, Intent, KEYS, Scope, name};
use crate::tui::layer::Layer;
use crate::tui::model::Model;
use crate::tui::rights;
use crate::tui::text::clean;
use crate::tui::{sessions, shelf};

use super::bits::join;

/// Draws it. Keys that do not fit are left out whole; `?` shows them all.
pub fn draw(model: &Model, frame: &mut Frame, area: Rect) {
    let scope = model.layers.last().map_or(Scope::Board, Layer::scope);
    let shown = KEYS
        .iter()
        .filter(|binding| binding.scope == scope && !binding.short.is_empty() && applies_now(model, binding));
    let mut parts: Vec<Vec<Span>> = Vec::new();
    let mut used = 0;
    for binding in shown {
        let part = hint(model, binding);
        used += part.iter().map(Span::width).sum::<usize>() + 2;
        if used > usize::from(area.width) + 2 {
            break;
        }
        parts.push(part);
    }
    frame.render_widget(Line::from(join(parts, &Span::raw("  "))), area);
}

fn applies_now(model: &Model, binding: &Binding) -> bool {
    match model.layers.last() {
        None => applies(model, binding.intent),
        Some(Layer::Ask(ask)) => match binding.intent {
            Intent::Yes => !ask.sent && ask.field.is_none(),
            Intent::Next | Intent::Accept => !ask.sent,
            _ => true,
        },
        Some(Layer::Archives(_) | Layer::Tree(_)) => shelf::applies(model, binding.intent),
        Some(Layer::Sessions(list)) => sessions::applies(list, binding.intent),
        Some(Layer::Form(form)) => binding.intent != Intent::Right || form.focus == Focus::Template,
        Some(_) => true,
    }
}

fn hint(model: &Model, binding: &Binding) -> Vec<Span<'static>> {
    let key = binding.keys.first().map_or_else(String::new, |key| name(*key));
    let word = match model.layers.last() {
        // What was confirmed goes on; there is nothing to cancel any more.
        Some(Layer::Ask(ask)) if ask.sent => "close",
        Some(Layer::Archives(list)) if binding.intent == Intent::Everything && list.all => "room",
        Some(Layer::Sessions(list)) if binding.intent == Intent::Everything && list.all => "room",
        _ => binding.short,
    };
    let refused = rights::refusal(model, binding.scope, binding.intent).is_some();
    let style = if refused { model.look.dim() } else { model.look.accent() };
    vec![
        Span::styled(key, style),
        Span::styled(format!(" {word}"), model.look.dim()),
    ]
}

/// Puts the terminal's cursor behind the filter: at the right end of the header's third line, or of a list's lower edge.
pub fn filter_cursor(model: &Model, frame: &mut Frame, header: Rect, list: Rect) {
    let filter = match model.layers.iter().rev().nth(1) {
        Some(Layer::Archives(archives)) => Some(&archives.filter),
        Some(Layer::Sessions(sessions)) => Some(&sessions.filter),
        _ => None,
    };
    if let Some(filter) = filter {
        // There it stands in the lower edge of the list, before a space.
        let edge = super::edge(list);
        let x = edge.right().saturating_sub(2 + behind(filter, model.look.ascii));
        return put(frame, edge, Position::new(x, edge.y));
    }
    let x = header
        .right()
        .saturating_sub(1 + behind(&model.filter, model.look.ascii));
    put(frame, header, Position::new(x, header.y + 2));
}

/// Cells from the cursor of a field to the end of its text.
fn behind(field: &Field, ascii: bool) -> u16 {
    let length = clean(field.raw(), ascii).width();
    let (_, at) = field.scroll(usize::from(u16::MAX));
    u16::try_from(length.saturating_sub(at)).unwrap_or(0)
}

fn put(frame: &mut Frame, area: Rect, place: Position) {
    if area.contains(place) {
        frame.set_cursor_position(place);
    }
}
