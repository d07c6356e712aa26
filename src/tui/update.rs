//! What happens to the model when something happens: no clock, no socket, no waiting.
//!
//! `update` answers every event at once with what is to be sent; the run loop does the sending.

use crossterm::event::{KeyEvent, KeyEventKind};

use crate::domain::command::Outcome;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::SeatId;
use crate::domain::notice::Notice;

use super::act;
use super::archives::{Archives, newest_first};
use super::field::Field;
use super::job::{FAILURES_KEPT, Job, State, Work, verdict};
use super::keys::{self, Intent, Scope};
use super::layer::{Layer, Topic};
use super::listing::Rows;
use super::log::End;
use super::model::{Link, Model};
use super::peek::State as Pass;
use super::port::{Inbound, JobId, Outbound, StreamId};
use super::{ask, form, lists, sessions, shelf, view};

/// Everything that can happen to a board.
#[derive(Debug, Clone)]
pub enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has this size now (columns, rows).
    Resize(u16, u16),
    /// The connection says something.
    In(Inbound),
    /// A second has passed.
    Tick,
    /// A shell has ended and the terminal is the board's again.
    ShellEnded {
        /// Where it was.
        seat: SeatId,
        /// Why, when it failed.
        fault: Option<Fault>,
    },
}

/// Takes an event in; returns what is to be done about it, in order.
pub fn update(model: &mut Model, event: Event) -> Vec<Outbound> {
    let out = match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => on_key(model, key),
        Event::Key(_) => Vec::new(),
        Event::Paste(text) => quietly(|| paste(model, &text)),
        Event::Resize(cols, rows) => quietly(|| model.size = (cols, rows)),
        Event::In(inbound) => quietly(|| hear(model, inbound)),
        Event::Tick => tick(model),
        Event::ShellEnded { seat, fault } => quietly(|| shell_ended(model, &seat, fault)),
    };
    let height = view::table_height(model);
    model.top = view::first_row(model.top, model.at, height, model.rows.len());
    keep_in_sight(model);
    out
}

/// Scrolls the lists that lie over the board so that their cursors are in sight.
fn keep_in_sight(model: &mut Model) {
    let (height, tree) = (view::list_height(model), view::tree_height(model));
    for layer in &mut model.layers {
        if let Layer::Tree(browse) = layer {
            browse.top = view::first_row(browse.top, browse.at, tree, browse.len());
        } else if let Some(list) = layer.list_mut() {
            list.scroll(&|top, at, count| view::first_row(top, at, height, count));
        }
    }
}

fn tick(model: &mut Model) -> Vec<Outbound> {
    model.quiet = model.quiet.saturating_add(1);
    for job in &mut model.jobs {
        job.seconds = job.seconds.saturating_add(1);
    }
    for layer in &mut model.layers {
        if let Layer::Peek(peek) = layer {
            peek.tick();
        }
    }
    lists::tick(model)
}

fn quietly(change: impl FnOnce()) -> Vec<Outbound> {
    change();
    Vec::new()
}

fn on_key(model: &mut Model, key: KeyEvent) -> Vec<Outbound> {
    if keys::is_interrupt(&key) {
        return vec![Outbound::Quit];
    }
    let scope = model.layers.last().map_or(Scope::Board, Layer::scope);
    let intent = keys::intent(scope, &key);
    let size = model.size;
    match model.layers.last_mut() {
        None => intent.map_or_else(Vec::new, |intent| act::on_board(model, intent)),
        Some(Layer::Ask(ask)) => match ask.key(key, intent) {
            ask::Asked::Nothing => Vec::new(),
            ask::Asked::Leave => leave(model),
            ask::Asked::Run(works) => run_asked(model, works),
        },
        Some(Layer::Form(form)) => match form.key(key, intent) {
            form::Asked::Nothing => Vec::new(),
            form::Asked::Leave => leave(model),
            form::Asked::Run(command) => open_room(model, Work::Command(command)),
        },
        Some(Layer::Archives(_)) => intent.map_or_else(Vec::new, |intent| shelf::on_archives(model, intent)),
        Some(Layer::Tree(_)) => intent.map_or_else(Vec::new, |intent| shelf::on_tree(model, intent)),
        Some(Layer::Sessions(_)) => intent.map_or_else(Vec::new, |intent| sessions::on_sessions(model, intent)),
        Some(Layer::Log(_) | Layer::Page(..) | Layer::Peek(_)) if intent == Some(Intent::Back) => leave(model),
        Some(Layer::Log(log)) => quietly(|| log.scroll(intent.unwrap_or(Intent::Accept), view::log_height(size))),
        Some(Layer::Page(topic, top)) => {
            let (topic, at) = (*topic, *top);
            let to = intent.map_or(at, |intent| scroll_page(model, topic, at, intent));
            set_page(model, to)
        }
        Some(Layer::Filter) => quietly(|| on_filter(model, key, intent)),
        Some(Layer::Peek(_)) => Vec::new(),
    }
}

/// Takes the topmost layer away. What it started goes on.
fn leave(model: &mut Model) -> Vec<Outbound> {
    match model.layers.pop() {
        Some(Layer::Log(log)) if log.end == End::Open => vec![Outbound::CloseLog(log.stream)],
        Some(Layer::Peek(peek)) if matches!(peek.state, Pass::Waiting) => vec![Outbound::CloseLog(peek.stream)],
        _ => Vec::new(),
    }
}

fn scroll_page(model: &Model, topic: Topic, top: usize, intent: Intent) -> usize {
    let height = view::page_height(model.size);
    let last = view::page_lines(model, topic).saturating_sub(height);
    let to = match intent {
        Intent::Up => top.saturating_sub(1),
        Intent::Down => top + 1,
        Intent::PageUp => top.saturating_sub(height),
        Intent::PageDown => top + height,
        Intent::First => 0,
        Intent::Last => last,
        _ => top,
    };
    to.min(last)
}

fn set_page(model: &mut Model, to: usize) -> Vec<Outbound> {
    if let Some(Layer::Page(_, top)) = model.layers.last_mut() {
        *top = to;
    }
    Vec::new()
}

fn on_filter(model: &mut Model, key: KeyEvent, intent: Option<Intent>) {
    match intent {
        Some(Intent::Accept) => {
            model.layers.pop();
        }
        Some(Intent::Back) => {
            model.layers.pop();
            match model.layers.last_mut().and_then(Layer::list_mut) {
                Some(list) => lists::clear_filter(list),
                None => act::clear_filter(model),
            }
        }
        Some(Intent::Up) => filtered(model, |at| at.saturating_sub(1)),
        Some(Intent::Down) => filtered(model, |at| at + 1),
        _ => change_filter(model, |filter| filter.key(key)),
    }
}

/// The list that the filter is typed for: the topmost one below it.
fn beneath(model: &mut Model) -> Option<&mut dyn Rows> {
    model.layers.iter_mut().rev().nth(1)?.list_mut()
}

fn filtered(model: &mut Model, to: impl Fn(usize) -> usize) {
    match beneath(model) {
        Some(list) => list.go(to(list.at())),
        None => model.go(to(model.at)),
    }
}

fn change_filter(model: &mut Model, change: impl FnOnce(&mut Field)) {
    if let Some(list) = beneath(model) {
        change(list.filter_mut());
        return list.arrange();
    }
    change(&mut model.filter);
    model.arrange();
}

fn paste(model: &mut Model, text: &str) {
    match model.layers.last_mut() {
        Some(Layer::Form(form)) => {
            if let Some(field) = form.field() {
                field.paste(text);
            }
        }
        Some(Layer::Ask(ask)) if ask.focus == ask::Focus::Field => {
            if let Some(field) = &mut ask.field {
                field.paste(text);
            }
        }
        Some(Layer::Filter) => change_filter(model, |filter| filter.paste(text)),
        _ => {}
    }
}

/// A task could not be told to stop.
pub(super) fn not_cancelled(model: &mut Model, id: JobId) {
    for job in model.jobs.iter_mut().filter(|job| job.id == id) {
        job.cancelled = false;
    }
}

/// Begins work under a number of its own.
pub(super) fn start(model: &mut Model, work: Work) -> (JobId, Outbound) {
    let job = model.next_job();
    model.jobs.push(Job::new(job, work.clone()));
    let order = match work {
        Work::Command(command) => Outbound::Run { job, command },
        Work::Task(task) => Outbound::Work { job, task },
    };
    (job, order)
}

fn run_asked(model: &mut Model, works: Vec<Work>) -> Vec<Outbound> {
    if works.iter().any(|work| matches!(work, Work::Command(_))) {
        model.marks.clear();
    }
    let (jobs, out): (Vec<JobId>, Vec<Outbound>) = works.into_iter().map(|work| start(model, work)).unzip();
    if let Some(Layer::Ask(ask)) = model.layers.last_mut() {
        ask.jobs.extend(&jobs);
    }
    unless_lost(model, &jobs, out)
}

/// The orders, or none while the agent is gone: a verb that waits for its return would strike when nobody expects it.
pub(super) fn unless_lost(model: &mut Model, jobs: &[JobId], out: Vec<Outbound>) -> Vec<Outbound> {
    if !matches!(model.link, Link::Lost(_)) {
        return out;
    }
    let text = "the agent does not answer; nothing was sent. Try again when it is back";
    for job in jobs {
        done(model, *job, &Fault::new(FaultCode::Cancelled, text).into());
    }
    Vec::new()
}

fn open_room(model: &mut Model, work: Work) -> Vec<Outbound> {
    let (job, out) = start(model, work);
    if let Some(Layer::Form(form)) = model.layers.last_mut() {
        form.job = Some(job);
    }
    unless_lost(model, &[job], vec![out])
}

fn hear(model: &mut Model, inbound: Inbound) {
    match inbound {
        Inbound::Snapshot(snapshot) => model.take(snapshot),
        Inbound::Notice(notice) => model.tell(notice),
        Inbound::Missed(count) => model.missed = model.missed.saturating_add(count),
        Inbound::Attached => {
            model.link = Link::Attached;
            model.quiet = 0;
        }
        Inbound::Rights(rights) => model.rights = Some(rights),
        Inbound::Lost(why) => lost(model, why),
        Inbound::Progress { job, report } => progress(model, job, report),
        Inbound::Done { job, outcome } => done(model, job, &outcome),
        Inbound::Log { stream, bytes } => with_log(model, stream, |log| log.push(&bytes)),
        Inbound::Archives { stream, rows } => {
            if let Some(list) = archives(model).find(|list| list.stream == stream) {
                list.take(rows.map(newest_first));
            }
        }
        Inbound::Sessions { stream, rows } => {
            let waits = |layer: &&mut Layer| matches!(layer, Layer::Sessions(list) if list.stream == stream);
            if let Some(Layer::Sessions(list)) = model.layers.iter_mut().find(waits) {
                list.take(rows);
            }
        }
        Inbound::Pass { stream, pass } => {
            let waits = |layer: &&mut Layer| matches!(layer, Layer::Peek(peek) if peek.stream == stream);
            if let Some(Layer::Peek(peek)) = model.layers.iter_mut().find(waits) {
                peek.take(pass);
            }
        }
        Inbound::Checked { archive, good } => {
            for row in archives(model).filter_map(|list| list.find_mut(&archive)) {
                row.verified = good;
            }
        }
        Inbound::Tree { stream, tree } => {
            let waits = |layer: &&mut Layer| matches!(layer, Layer::Tree(browse) if browse.stream == stream);
            if let Some(Layer::Tree(browse)) = model.layers.iter_mut().find(waits) {
                browse.take(tree);
            }
        }
        Inbound::LogEnd { stream, why } => with_log(model, stream, |log| {
            log.end = why.map_or(End::Over, End::Broken);
        }),
    }
}

/// The lists of archives that are open.
fn archives(model: &mut Model) -> impl Iterator<Item = &mut Archives> {
    model.layers.iter_mut().filter_map(|layer| match layer {
        Layer::Archives(list) => Some(list.as_mut()),
        _ => None,
    })
}

/// The agent is gone: nobody will answer the commands that run, and they may have happened. Tasks
/// notice it themselves.
fn lost(model: &mut Model, why: String) {
    model.link = Link::Lost(why);
    let running = |job: &&Job| matches!((&job.work, &job.state), (Work::Command(_), State::Running(_)));
    let jobs: Vec<JobId> = model.jobs.iter().filter(running).map(|job| job.id).collect();
    let text = "the connection was lost; it may have happened. Look at the board when it is back";
    for job in jobs {
        done(model, job, &Fault::new(FaultCode::Unknown, text).into());
    }
}

fn with_log(model: &mut Model, stream: StreamId, change: impl FnOnce(&mut super::log::Log)) {
    let log = model.layers.iter_mut().find_map(|layer| match layer {
        Layer::Log(log) if log.stream == stream => Some(log),
        _ => None,
    });
    if let Some(log) = log {
        change(log);
    }
}

/// A job goes on. Openings, closings and tasks are long: from now on the strip shows them, and their dialog goes away.
fn progress(model: &mut Model, id: JobId, report: crate::domain::command::ProgressReport) {
    let Some(job) = model.jobs.iter_mut().find(|job| job.id == id) else {
        return;
    };
    job.state = State::Running(Some(report));
    if job.room().is_some() || job.task().is_some() {
        model.layers.retain(|layer| !layer.owns(id));
    }
}

/// A command has ended. A failure is told where it was started, if that is still open, else in the strip.
fn done(model: &mut Model, id: JobId, outcome: &Outcome) {
    let Some(at) = model.jobs.iter().position(|job| job.id == id) else {
        return;
    };
    let job = model.jobs.remove(at);
    model.warned &= model.jobs.iter().any(|job| job.task().is_some());
    match verdict(outcome) {
        Ok(text) => {
            model.tell(Notice::info(text));
            if let Work::Command(command) = &job.work {
                sessions::revoked(model, command);
            }
            close_owner(model, id);
        }
        Err(why) => {
            model.tell(Notice::error(format!("{}: {why}", job.title())));
            if !tell_owner(model, &job, &why) {
                keep_failure(model, job, why);
            }
        }
    }
}

fn close_owner(model: &mut Model, id: JobId) {
    model.layers.retain_mut(|layer| match layer {
        Layer::Ask(ask) if ask.jobs.contains(&id) => {
            ask.jobs.remove(&id);
            !(ask.jobs.is_empty() && ask.failures.is_empty())
        }
        Layer::Form(form) => form.job != Some(id),
        _ => true,
    });
}

fn tell_owner(model: &mut Model, job: &Job, why: &str) -> bool {
    let Some(owner) = model.layers.iter_mut().find(|layer| layer.owns(job.id)) else {
        return false;
    };
    match owner {
        Layer::Ask(ask) => {
            ask.jobs.remove(&job.id);
            ask.failures.push(format!("{}: {why}", job.title()));
        }
        Layer::Form(form) => {
            form.job = None;
            form.failure = Some(why.to_owned());
        }
        _ => return false,
    }
    true
}

fn keep_failure(model: &mut Model, mut job: Job, why: String) {
    job.state = State::Failed(why);
    model.jobs.push(job);
    let failed = |job: &Job| matches!(job.state, State::Failed(_));
    if model.jobs.iter().filter(|job| failed(job)).count() > FAILURES_KEPT {
        let oldest = model.jobs.iter().position(failed);
        oldest.map(|at| model.jobs.remove(at));
    }
}

fn shell_ended(model: &mut Model, seat: &SeatId, fault: Option<Fault>) {
    if let Some(fault) = fault {
        model.tell(Notice::error(format!("shell {seat}: {fault}")));
    }
}
