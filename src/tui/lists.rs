//! What keys do in every list that lies over the board, whatever is listed.

use super::archives::Archives;
use super::field::Field;
use super::keys::{Intent, Scope};
use super::layer::{Layer, Topic};
use super::listing::{Asked, Rows};
use super::model::{FILTER_MAX, Link, Model};
use super::port::Outbound;
use super::sessions::Sessions;
use super::view;

/// Seconds after which the list of sessions is asked for again: students come and go while it is looked at.
const SESSIONS_EVERY: u32 = 5;

/// Opens the list of archives: of the room that is shown or that the cursor is in, else of all.
pub fn open_archives(model: &mut Model) -> Vec<Outbound> {
    let (stream, room) = (model.next_stream(), model.room_meant());
    open(model, Layer::Archives(Box::new(Archives::new(stream, room))))
}

/// Opens the list of sessions in the same way.
pub fn open_sessions(model: &mut Model) -> Vec<Outbound> {
    let (stream, room) = (model.next_stream(), model.room_meant());
    open(model, Layer::Sessions(Box::new(Sessions::new(stream, room))))
}

fn open(model: &mut Model, list: Layer) -> Vec<Outbound> {
    let order = question(&list);
    model.layers.push(list);
    order.into_iter().collect()
}

/// What is asked for a list.
fn question(list: &Layer) -> Option<Outbound> {
    match list {
        Layer::Archives(list) => Some(Outbound::List {
            stream: list.stream,
            room: list.wanted(),
        }),
        Layer::Sessions(list) => Some(Outbound::ListSessions {
            stream: list.stream,
            room: list.wanted(),
        }),
        _ => None,
    }
}

/// Does what a key means in every list.
pub fn on_list(model: &mut Model, intent: Intent) -> Vec<Outbound> {
    let height = view::list_height(model).max(1);
    let Some(list) = model.layers.last_mut().and_then(Layer::list_mut) else {
        return Vec::new();
    };
    match intent {
        Intent::Back if !list.filter().value().is_empty() => clear_filter(list),
        Intent::Back => return leave(model),
        Intent::Filter => model.layers.push(Layer::Filter),
        Intent::Everything if list.toggle() => return ask_again(model),
        Intent::Reload => return ask_again(model),
        other => match moved(other, list.at(), height) {
            Some(at) => list.go(at),
            None => read(model, other),
        },
    }
    Vec::new()
}

/// Opens what is only read.
pub fn read(model: &mut Model, intent: Intent) {
    match intent {
        Intent::Help => {
            let scope = model.layers.last().map_or(Scope::Board, Layer::scope);
            let top = view::help_line(model, scope);
            model.layers.push(Layer::Page(Topic::Help, top));
        }
        Intent::News => model.read_news(),
        _ => {}
    }
}

/// The row that a moving key leads to; none for other keys.
#[must_use]
pub fn moved(intent: Intent, at: usize, page: usize) -> Option<usize> {
    match intent {
        Intent::Up => Some(at.saturating_sub(1)),
        Intent::Down => Some(at + 1),
        Intent::PageUp => Some(at.saturating_sub(page)),
        Intent::PageDown => Some(at + page),
        Intent::First => Some(0),
        Intent::Last => Some(usize::MAX),
        _ => None,
    }
}

/// Lists all of them again.
pub fn clear_filter(list: &mut dyn Rows) {
    *list.filter_mut() = Field::new("", FILTER_MAX);
    list.arrange();
}

/// Takes the topmost layer away; what it waits for is not wanted any more.
pub fn leave(model: &mut Model) -> Vec<Outbound> {
    let waiting = match model.layers.pop() {
        Some(Layer::Tree(tree)) => (tree.asked == Asked::Waiting).then_some(tree.stream),
        Some(mut layer) => layer.list_mut().and_then(|list| list.waits_for()),
        None => None,
    };
    waiting.map(Outbound::CloseLog).into_iter().collect()
}

fn ask_again(model: &mut Model) -> Vec<Outbound> {
    let stream = model.next_stream();
    let Some(layer) = model.layers.last_mut() else {
        return Vec::new();
    };
    let old = layer.list_mut().and_then(|list| list.ask_again(Some(stream)));
    old.map(Outbound::CloseLog).into_iter().chain(question(layer)).collect()
}

/// A second has passed: asks for lists that do not stay as they are.
pub fn tick(model: &mut Model) -> Vec<Outbound> {
    let lost = matches!(model.link, Link::Lost(_));
    let mut out = Vec::new();
    for layer in &mut model.layers {
        let idle = layer.list_mut().and_then(Rows::tick);
        let due = idle.is_some_and(|seconds| seconds >= SESSIONS_EVERY);
        if due && !lost && matches!(layer, Layer::Sessions(_)) {
            layer.list_mut().map(|list| list.ask_again(None));
            out.extend(question(layer));
        }
    }
    out
}
