//! What keys do in the lists of archives and in their trees.

use crate::domain::command::Excerpt;
use crate::domain::notice::Notice;

use super::act;
use super::archives::{Archives, Asked, kept};
use super::ask::Ask;
use super::browse::{Browse, Entered};
use super::job::Work;
use super::keys::{Intent, Scope};
use super::layer::{Layer, Topic};
use super::log::{Log, Source};
use super::model::Model;
use super::port::{Kept, Outbound, Task};
use super::update::start;
use super::{rights, view};

/// Opens the list: of the room that is shown or that the cursor is in, else of all.
pub fn open(model: &mut Model) -> Vec<Outbound> {
    let room = model.room_meant();
    let stream = model.next_stream();
    let list = Archives::new(stream, room);
    let order = Outbound::List {
        stream,
        room: list.wanted(),
    };
    model.layers.push(Layer::Archives(Box::new(list)));
    vec![order]
}

/// Whether a key would do something now; the footer shows only those.
#[must_use]
pub fn applies(model: &Model, intent: Intent) -> bool {
    let list = match model.layers.last() {
        Some(Layer::Archives(list)) => Some(list),
        _ => None,
    };
    match intent {
        Intent::Cancel => act::newest_task(model, None).is_some(),
        Intent::Everything => list.is_some_and(|list| list.room.is_some()),
        Intent::Filter => list.is_some_and(|list| list.has_any()),
        Intent::Accept | Intent::Verify | Intent::VerifyAll | Intent::Restore | Intent::Export | Intent::Log => {
            list.is_none_or(|list| list.chosen().is_some())
        }
        _ => true,
    }
}

/// Does what a key means in a list.
pub fn on_archives(model: &mut Model, intent: Intent) -> Vec<Outbound> {
    if refused(model, Scope::Archives, intent) {
        return Vec::new();
    }
    let height = view::archives_height(model).max(1);
    let Some(Layer::Archives(list)) = model.layers.last_mut() else {
        return Vec::new();
    };
    let chosen = list.chosen().map(kept);
    match (intent, chosen) {
        (Intent::Back, _) if !list.filter.value().is_empty() => clear_filter(list),
        (Intent::Back, _) => return leave(model),
        (Intent::Filter, _) => model.layers.push(Layer::Filter),
        (Intent::Everything, _) if list.room.is_some() => {
            list.all = !list.all;
            return ask_again(model);
        }
        (Intent::Reload, _) => return ask_again(model),
        (Intent::Accept, Some(archive)) => return open_tree(model, archive),
        (Intent::Export, Some(archive)) => {
            let ask = Ask::export(archive.seat.room, model.here.clone());
            model.layers.push(Layer::Ask(Box::new(ask)));
        }
        (Intent::VerifyAll, Some(_)) => {
            let all = list.listed().map(kept).collect();
            return work(model, Task::Verify(all));
        }
        (moving, chosen) => match moved(moving, list.at, height) {
            Some(at) => list.go(at),
            None => return common(model, intent, chosen),
        },
    }
    Vec::new()
}

/// Does what a key means in a tree.
pub fn on_tree(model: &mut Model, intent: Intent) -> Vec<Outbound> {
    if refused(model, Scope::Tree, intent) {
        return Vec::new();
    }
    let height = view::tree_height(model).max(1);
    let Some(Layer::Tree(tree)) = model.layers.last_mut() else {
        return Vec::new();
    };
    let archive = tree.archive.clone();
    match intent {
        Intent::Back => return leave(model),
        Intent::Left => drop(tree.up()),
        Intent::Accept => match tree.enter() {
            Entered::Moved => {}
            Entered::File(path, size) => return open_file(model, archive, path, size),
            Entered::Nothing(why) => model.tell(Notice::info(why)),
        },
        moving => match moved(moving, tree.at, height) {
            Some(at) => tree.go(at),
            None => return common(model, intent, Some(archive)),
        },
    }
    Vec::new()
}

/// Says why a key does nothing, when the role does not permit it.
fn refused(model: &mut Model, scope: Scope, intent: Intent) -> bool {
    let why = rights::refusal(model, scope, intent);
    let refused = why.is_some();
    if let Some(why) = why {
        model.tell(Notice::warning(why));
    }
    refused
}

/// What means the same in both.
fn common(model: &mut Model, intent: Intent, chosen: Option<Kept>) -> Vec<Outbound> {
    match (intent, chosen) {
        (Intent::Help, _) => {
            let scope = model.layers.last().map_or(Scope::Board, Layer::scope);
            let top = view::help_line(model, scope);
            model.layers.push(Layer::Page(Topic::Help, top));
        }
        (Intent::News, _) => model.layers.push(Layer::Page(Topic::News, 0)),
        (Intent::Verify, Some(archive)) => return work(model, Task::Verify(vec![archive])),
        (Intent::Restore, Some(archive)) => {
            let ask = Ask::restore(archive, model.here.clone());
            model.layers.push(Layer::Ask(Box::new(ask)));
        }
        (Intent::Log, Some(archive)) => {
            return open_part(model, Source::Printed(archive.clone()), archive, Excerpt::Log);
        }
        (Intent::Cancel, chosen) => return act::cancel(model, chosen.as_ref()),
        _ => {}
    }
    Vec::new()
}

/// The row that a moving key leads to; none for other keys.
fn moved(intent: Intent, at: usize, page: usize) -> Option<usize> {
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
pub fn clear_filter(list: &mut Archives) {
    list.filter = super::field::Field::new("", super::model::FILTER_MAX);
    list.arrange();
}

/// Takes the topmost layer away; what it waits for is not wanted any more.
fn leave(model: &mut Model) -> Vec<Outbound> {
    let waiting = match model.layers.pop() {
        Some(Layer::Archives(list)) if list.asked == Asked::Waiting => Some(list.stream),
        Some(Layer::Tree(tree)) if tree.asked == Asked::Waiting => Some(tree.stream),
        _ => None,
    };
    waiting.map(Outbound::CloseLog).into_iter().collect()
}

fn ask_again(model: &mut Model) -> Vec<Outbound> {
    let stream = model.next_stream();
    let Some(Layer::Archives(list)) = model.layers.last_mut() else {
        return Vec::new();
    };
    let old = std::mem::replace(&mut list.stream, stream);
    list.asked = Asked::Waiting;
    let order = Outbound::List {
        stream,
        room: list.wanted(),
    };
    vec![Outbound::CloseLog(old), order]
}

fn open_tree(model: &mut Model, archive: Kept) -> Vec<Outbound> {
    let created = match model.layers.last() {
        Some(Layer::Archives(list)) => list.chosen().map(|row| row.created.clone()),
        _ => None,
    };
    let stream = model.next_stream();
    let order = Outbound::OpenTree {
        stream,
        archive: archive.id.clone(),
    };
    let tree = Browse::new(stream, archive, created.unwrap_or_default());
    model.layers.push(Layer::Tree(Box::new(tree)));
    vec![order]
}

fn open_file(model: &mut Model, archive: Kept, path: String, size: u64) -> Vec<Outbound> {
    let source = Source::File {
        archive: archive.clone(),
        path: path.clone(),
        size,
    };
    open_part(model, source, archive, Excerpt::File { path })
}

fn open_part(model: &mut Model, source: Source, archive: Kept, part: Excerpt) -> Vec<Outbound> {
    let stream = model.next_stream();
    model.layers.push(Layer::Log(Box::new(Log::part(stream, source))));
    vec![Outbound::OpenPart {
        stream,
        archive: archive.id,
        part,
    }]
}

fn work(model: &mut Model, task: Task) -> Vec<Outbound> {
    let (job, order) = start(model, Work::Task(task));
    super::update::unless_lost(model, &[job], vec![order])
}
