//! What keys do in the lists of archives and in their trees.

use crate::domain::command::Excerpt;
use crate::domain::notice::Notice;

use super::act;
use super::archives::kept;
use super::ask::Ask;
use super::browse::{Browse, Entered};
use super::job::Work;
use super::keys::{Intent, Scope};
use super::layer::Layer;
use super::log::{Log, Source};
use super::model::Model;
use super::port::{Kept, Outbound, Task};
use super::update::start;
use super::{lists, rights, view};

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
    let Some(Layer::Archives(list)) = model.layers.last() else {
        return Vec::new();
    };
    match (intent, list.chosen().map(kept)) {
        (Intent::Accept, Some(archive)) => open_tree(model, archive),
        (Intent::Export, Some(archive)) => {
            let ask = Ask::export(archive.seat.room, model.here.clone());
            model.layers.push(Layer::Ask(Box::new(ask)));
            Vec::new()
        }
        (Intent::VerifyAll, Some(_)) => {
            let all = list.listed().map(kept).collect();
            work(model, Task::Verify(all))
        }
        (intent, chosen) => common(model, intent, chosen),
    }
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
        Intent::Left => drop(tree.up()),
        Intent::Accept => match tree.enter() {
            Entered::Moved => {}
            Entered::File(path, size) => return open_file(model, archive, path, size),
            Entered::Nothing(why) => model.tell(Notice::info(why)),
        },
        moving => match lists::moved(moving, tree.at, height) {
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
        (Intent::Verify, Some(archive)) => work(model, Task::Verify(vec![archive])),
        (Intent::Restore, Some(archive)) => {
            let ask = Ask::restore(archive, model.here.clone());
            model.layers.push(Layer::Ask(Box::new(ask)));
            Vec::new()
        }
        (Intent::Log, Some(archive)) => open_part(model, Source::Printed(archive.clone()), archive, Excerpt::Log),
        (Intent::Cancel, chosen) => act::cancel(model, chosen.as_ref()),
        (Intent::Back, _) if matches!(model.layers.last(), Some(Layer::Tree(_))) => lists::leave(model),
        (Intent::Help | Intent::News, _) => {
            lists::read(model, intent);
            Vec::new()
        }
        (intent, _) => lists::on_list(model, intent),
    }
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
