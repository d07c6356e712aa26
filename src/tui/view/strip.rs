//! Below the table: how far openings and closings are, what failed, and the latest notices.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};

use crate::domain::command::Command;
use crate::domain::notice::Level;
use crate::domain::pace;
use crate::domain::snapshot::{Phase, RoomPhase, RoomView};
use crate::tui::human::{bytes_of, size};
use crate::tui::job::{Job, State, Work, target};
use crate::tui::model::Model;
use crate::tui::port::Task;
use crate::tui::text::clean;
use crate::tui::theme::Look;

use super::bits::{bar, cut, share};

/// Lines of the strip; more are counted.
const STRIP_ROWS: usize = 3;
/// Notices in sight.
const NEWS_ROWS: usize = 2;

/// One line of the strip.
enum Item {
    Progress {
        word: &'static str,
        room: String,
        share: f64,
        figure: String,
        failed: usize,
        text: String,
    },
    Task(String),
    Failure(String),
    Waiting(String),
}

/// Lines that the strip takes.
pub fn rows(model: &Model, low: bool) -> u16 {
    let most = if low { 1 } else { STRIP_ROWS };
    u16::try_from(items(model).len().min(most)).unwrap_or(0)
}

/// Failures first, then what goes on. A room is told of once, by its command if this board sent it.
fn items(model: &Model) -> Vec<Item> {
    let failures = model.jobs.iter().filter_map(failure);
    let rooms = model.rooms().iter().filter_map(|room| of_room(model, room));
    let early = model.jobs.iter().filter(|job| is_early(model, job)).filter_map(of_job);
    let waiting = model.jobs.iter().filter(|job| is_waiting(model, job));
    let waiting = waiting.map(|job| Item::Waiting(job.title()));
    let tasks = model.jobs.iter().filter_map(|job| of_task(model, job));
    failures.chain(tasks).chain(early).chain(rooms).chain(waiting).collect()
}

/// Whether a command has not been heard of again and nothing else on the screen tells of it.
fn is_waiting(model: &Model, job: &Job) -> bool {
    let told = model.layers.iter().any(|layer| layer.owns(job.id));
    job.state == State::Running(None) && job.task().is_none() && !told
}

fn failure(job: &Job) -> Option<Item> {
    match &job.state {
        State::Failed(why) => Some(Item::Failure(format!("{}: {why}", job.title()))),
        State::Running(_) => None,
    }
}

/// A task, from the moment when no dialog tells of it.
fn of_task(model: &Model, job: &Job) -> Option<Item> {
    let task = job.task()?;
    let dash = model.look.pick("…", "...");
    if job.cancelled {
        return Some(Item::Task(format!("cancelling {}{dash}", job.title())));
    }
    if model.layers.iter().any(|layer| layer.owns(job.id)) {
        return None;
    }
    let State::Running(Some(report)) = &job.state else {
        return Some(Item::Task(format!("{}{dash}  {}s", job.title(), job.seconds)));
    };
    let (done, total) = (report.done as u64, report.total as u64);
    let (word, figure) = match task {
        Task::Verify(_) => ("Verifying", format!("{done}/{total}")),
        Task::Export { .. } => ("Exporting", format!("{done}/{total}")),
        Task::Restore { .. } if total == 0 => ("Restoring", size(done)),
        Task::Restore { .. } => ("Restoring", bytes_of(done, total)),
    };
    Some(Item::Progress {
        word,
        room: target(task),
        share: share(done, total),
        figure,
        failed: report.failed,
        text: report.text.clone(),
    })
}

/// Whether a command has reported before its room is in any snapshot.
fn is_early(model: &Model, job: &Job) -> bool {
    job.room()
        .is_some_and(|name| model.rooms().iter().all(|room| room.name != *name))
}

fn of_job(job: &Job) -> Option<Item> {
    let State::Running(Some(report)) = &job.state else {
        return None;
    };
    let opening = matches!(job.work, Work::Command(Command::OpenRoom { .. }));
    Some(Item::Progress {
        word: if opening { "Opening" } else { "Closing" },
        room: job.room()?.to_string(),
        share: share(report.done as u64, report.total as u64),
        figure: format!("{:>3}/{}", report.done, report.total),
        failed: report.failed,
        text: report.text.clone(),
    })
}

fn of_room(model: &Model, room: &RoomView) -> Option<Item> {
    let job = model.jobs.iter().find(|job| job.room() == Some(&room.name));
    if let Some(item) = job.and_then(of_job) {
        return Some(item);
    }
    let arrived = |seat: Phase| matches!(seat, Phase::Ready | Phase::Frozen | Phase::Stopped | Phase::Failed);
    let here = |is: fn(Phase) -> bool| room.seats.iter().filter(|seat| is(seat.phase)).count();
    let left = here(|phase| phase != Phase::Gone);
    let (word, done) = match room.phase {
        RoomPhase::Open => return None,
        RoomPhase::Opening => ("Opening", here(arrived)),
        RoomPhase::Closing => ("Closing", room.seats_total.saturating_sub(left)),
    };
    Some(Item::Progress {
        word,
        room: room.name.to_string(),
        share: share(done as u64, room.seats_total as u64),
        figure: format!("{done:>3}/{}", room.seats_total),
        failed: here(|phase| phase == Phase::Failed),
        text: pace::closing(room.closing_bytes, room.closing_rate, room.closing_seconds_left),
    })
}

/// Draws the strip.
pub fn draw(model: &Model, frame: &mut Frame, area: Rect) {
    let height = usize::from(area.height);
    let items = items(model);
    let over = items.len().saturating_sub(height);
    let mut lines: Vec<Line> = items
        .iter()
        .take(height)
        .map(|item| line(model.look, item, area.width))
        .collect();
    if let (1.., Some(last)) = (over, lines.last_mut()) {
        *last = Line::styled(format!("and {} more", over + 1), model.look.dim());
    }
    frame.render_widget(Text::from(lines), area);
}

fn line(look: Look, item: &Item, width: u16) -> Line<'static> {
    let spans = match item {
        Item::Failure(text) => vec![
            Span::styled("failed  ", look.bad()),
            Span::raw(clean(text, look.ascii)),
            Span::styled("  (Esc)", look.dim()),
        ],
        Item::Task(text) => vec![Span::raw(text.clone()), Span::styled("  (x cancels)", look.dim())],
        Item::Waiting(title) => vec![Span::styled("waiting ", look.dim()), Span::raw(title.clone())],
        Item::Progress {
            word,
            room,
            share,
            figure,
            failed,
            text,
        } => {
            let cells = if width >= 100 { 30 } else { 16 };
            let mut spans = vec![
                Span::raw(format!("{word} ")),
                Span::styled(format!("{room:10} "), look.strong()),
            ];
            spans.extend(bar(look, *share, cells, look.good()));
            spans.push(Span::raw(format!(" {figure}")));
            if *failed > 0 {
                spans.push(Span::styled(format!("  {failed} failed"), look.bad()));
            }
            spans.push(Span::styled(format!("  {}", clean(text, look.ascii)), look.dim()));
            spans
        }
    };
    Line::from(cut(spans, usize::from(width), look))
}

/// Lines that the notices take.
pub fn news_rows(model: &Model) -> u16 {
    u16::try_from(model.notices.len().min(NEWS_ROWS)).unwrap_or(0)
}

/// Draws the latest notices, the newest one last.
pub fn draw_news(model: &Model, frame: &mut Frame, area: Rect) {
    let skip = model.notices.len().saturating_sub(usize::from(area.height));
    let lines: Vec<Line> = model
        .notices
        .iter()
        .skip(skip)
        .map(|notice| {
            let spans = vec![
                level(model.look, notice.level),
                Span::raw(clean(&notice.text, model.look.ascii)),
            ];
            Line::from(cut(spans, usize::from(area.width), model.look))
        })
        .collect();
    frame.render_widget(Text::from(lines), area);
}

/// How much a notice matters, as a word.
pub fn level(look: Look, level: Level) -> Span<'static> {
    let word = match level {
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Incident => "incident",
        Level::Error => "error",
    };
    Span::styled(format!("{word:9}"), look.level(level))
}
