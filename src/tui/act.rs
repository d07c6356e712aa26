//! The board's own keys: what each intent does when nothing lies over the table.

use crate::domain::notice::Notice;
use crate::domain::snapshot::{Phase, SeatView};

use super::ask::{Ask, Pin, Verb, find};
use super::field::Field;
use super::form::Form;
use super::human::count;
use super::job::State;
use super::keys::{Intent, Scope};
use super::layer::Layer;
use super::log::{Log, TAIL};
use super::model::{FILTER_MAX, Link, Model};
use super::peek::Peek;
use super::port::{JobId, Kept, Outbound};
use super::view;
use super::{lists, rights};

/// Whether a key would do something now; the footer shows only those.
#[must_use]
pub fn applies(model: &Model, intent: Intent) -> bool {
    match intent {
        Intent::Kill | Intent::Restart | Intent::Extend | Intent::Mark => !pins(model).is_empty(),
        Intent::Freeze => chosen_phases(model).any(|phase| phase != Phase::Frozen),
        Intent::Thaw => chosen_phases(model).any(|phase| phase == Phase::Frozen),
        Intent::Hold => chosen_held(model).any(|held| !held),
        Intent::Release => chosen_held(model).any(|held| held),
        Intent::Log | Intent::Shell | Intent::Peek | Intent::Sort => model.cursor.is_some(),
        Intent::Close | Intent::Filter | Intent::Sessions => !model.rooms().is_empty(),
        Intent::Next => model.rooms().len() > 1,
        Intent::News => !model.notices.is_empty(),
        Intent::Cancel => newest_task(model, None).is_some(),
        _ => true,
    }
}

/// Does what a key means.
pub fn on_board(model: &mut Model, intent: Intent) -> Vec<Outbound> {
    if let Some(why) = rights::refusal(model, Scope::Board, intent) {
        model.tell(Notice::warning(why));
        return Vec::new();
    }
    match intent {
        Intent::Quit => return quit(model),
        Intent::Archives => return lists::open_archives(model),
        Intent::Sessions => return lists::open_sessions(model),
        Intent::Peek => return open_peek(model),
        Intent::Cancel => return cancel(model, None),
        Intent::Log => return open_log(model),
        Intent::Shell => return open_shell(model),
        Intent::Kill => ask_running(model, Verb::Kill),
        Intent::Restart => ask_running(model, Verb::Restart),
        Intent::Freeze => ask_seats(model, Verb::Freeze),
        Intent::Thaw => ask_seats(model, Verb::Thaw),
        Intent::Hold => ask_seats(model, Verb::Hold),
        Intent::Release => ask_seats(model, Verb::Release),
        Intent::Extend => ask_seats(model, Verb::Extend),
        Intent::Close => ask_close(model),
        Intent::Open => open_form(model),
        Intent::Help | Intent::News => lists::read(model, intent),
        Intent::Filter => model.layers.push(Layer::Filter),
        Intent::Sort => sort(model),
        Intent::Mark => mark(model),
        Intent::Back => back(model),
        Intent::Next => cycle(model, 1),
        Intent::Previous => cycle(model, model.rooms().len()),
        moving => step(model, moving),
    }
    Vec::new()
}

/// Leaves. What this program itself does would break off, so that is told first.
fn quit(model: &mut Model) -> Vec<Outbound> {
    let tasks = model.jobs.iter().filter(|job| job.task().is_some()).count();
    if tasks == 0 || std::mem::replace(&mut model.warned, true) {
        return vec![Outbound::Quit];
    }
    let text = format!(
        "Leaving cancels {} with archives: press q again to leave",
        count(tasks, "task")
    );
    model.tell(Notice::warning(text));
    Vec::new()
}

/// The latest task under way: about that archive, else any.
#[must_use]
pub fn newest_task(model: &Model, archive: Option<&Kept>) -> Option<JobId> {
    let running = || {
        model
            .jobs
            .iter()
            .rev()
            .filter(|job| job.task().is_some() && !job.cancelled)
    };
    let about = archive.and_then(|archive| running().find(|job| job.is_about(archive)));
    about.or_else(|| running().next()).map(|job| job.id)
}

/// Stops a task: the one about that archive, else the latest.
pub fn cancel(model: &mut Model, archive: Option<&Kept>) -> Vec<Outbound> {
    let Some(id) = newest_task(model, archive) else {
        return Vec::new();
    };
    for job in model.jobs.iter_mut().filter(|job| job.id == id) {
        job.cancelled = true;
    }
    vec![Outbound::Cancel(id)]
}

fn step(model: &mut Model, intent: Intent) {
    let page = view::table_height(model).max(1);
    let at = model.at;
    match intent {
        Intent::Up => model.go(at.saturating_sub(1)),
        Intent::Down => model.go(at + 1),
        Intent::PageUp => model.go(at.saturating_sub(page)),
        Intent::PageDown => model.go(at + page),
        Intent::First => model.go(0),
        Intent::Last => model.go(usize::MAX),
        _ => {}
    }
}

fn sort(model: &mut Model) {
    model.sort = model.sort.next();
    model.arrange();
}

/// Shows another room. All rooms together come before the first one.
fn cycle(model: &mut Model, by: usize) {
    let rooms = model.rooms();
    let shown = model.room.as_ref();
    let at = shown.and_then(|name| rooms.iter().position(|room| room.name == *name));
    let next = (at.map_or(0, |at| at + 1) + by) % (rooms.len() + 1);
    model.room = next.checked_sub(1).map(|at| rooms[at].name.clone());
    model.arrange();
}

fn mark(model: &mut Model) {
    let Some(pin) = model.seat().map(Pin::new) else { return };
    if model.marks.remove(&pin.seat).is_none() {
        model.marks.insert(pin.seat, pin.container);
    }
    model.go(model.at + 1);
}

fn back(model: &mut Model) {
    if !model.filter.value().is_empty() {
        clear_filter(model);
    } else if !model.marks.is_empty() {
        model.marks.clear();
    } else {
        model.jobs.retain(|job| matches!(job.state, State::Running(_)));
    }
}

/// Lists all seats again.
pub fn clear_filter(model: &mut Model) {
    model.filter = Field::new("", FILTER_MAX);
    model.arrange();
}

/// The marked seats, or the one under the cursor, as they are at this key press.
fn pins(model: &Model) -> Vec<Pin> {
    let Some(snapshot) = model.snapshot.as_deref() else {
        return Vec::new();
    };
    if model.marks.is_empty() {
        return model.seat().map(Pin::new).into_iter().collect();
    }
    let marked = model.marks.keys().filter_map(|id| find(snapshot, id));
    marked.map(Pin::new).collect()
}

/// Where the chosen seats are in their lives.
fn chosen_phases(model: &Model) -> impl Iterator<Item = Phase> {
    chosen(model).map(|seat| seat.phase)
}

/// Whether the chosen seats are held.
fn chosen_held(model: &Model) -> impl Iterator<Item = bool> {
    chosen(model).map(|seat| seat.held)
}

fn chosen(model: &Model) -> impl Iterator<Item = &SeatView> {
    let snapshot = model.snapshot.as_deref();
    let seat = move |pin: Pin| find(snapshot?, &pin.seat);
    pins(model).into_iter().filter_map(seat)
}

fn ask_seats(model: &mut Model, verb: Verb) {
    let pins = pins(model);
    if pins.is_empty() {
        return model.tell(Notice::info("No seat is chosen"));
    }
    model.layers.push(Layer::Ask(Box::new(Ask::seats(verb, pins))));
}

/// Asks about seats that have a container: without one there is nothing to kill, and nothing to name it by.
fn ask_running(model: &mut Model, verb: Verb) {
    let mut pins = pins(model);
    pins.retain(|pin| pin.container.is_some());
    if pins.is_empty() {
        return model.tell(Notice::info(format!("{}: no container there yet", verb.word())));
    }
    model.layers.push(Layer::Ask(Box::new(Ask::seats(verb, pins))));
}

fn ask_close(model: &mut Model) {
    match model.room_meant() {
        Some(room) => model.layers.push(Layer::Ask(Box::new(Ask::close(room)))),
        None => model.tell(Notice::info("Choose a room with Tab first, then press C")),
    }
}

fn open_form(model: &mut Model) {
    let templates = model.snapshot.as_deref().map(|s| s.templates.clone());
    let form = Form::new(templates.unwrap_or_default());
    model.layers.push(Layer::Form(Box::new(form)));
}

fn open_log(model: &mut Model) -> Vec<Outbound> {
    let Some(seat) = model.cursor.clone() else {
        return Vec::new();
    };
    let stream = model.next_stream();
    model.layers.push(Layer::Log(Box::new(Log::new(stream, seat.clone()))));
    vec![Outbound::OpenLog {
        stream,
        seat,
        tail: TAIL,
    }]
}

fn open_shell(model: &mut Model) -> Vec<Outbound> {
    let seat = model.cursor.clone();
    seat.map(|seat| Outbound::Shell { seat }).into_iter().collect()
}

fn open_peek(model: &mut Model) -> Vec<Outbound> {
    let Some(seat) = model.cursor.clone() else {
        return Vec::new();
    };
    let stream = model.next_stream();
    let mut peek = Peek::new(stream, seat.clone());
    let lost = matches!(model.link, Link::Lost(_));
    if lost {
        peek.take(Err("the agent does not answer. Try again when it is back".to_owned()));
    }
    model.layers.push(Layer::Peek(Box::new(peek)));
    (!lost).then_some(Outbound::Peek { stream, seat }).into_iter().collect()
}
