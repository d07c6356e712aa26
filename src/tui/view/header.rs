//! The lines above the table: whose board, which room, the host, and whatever is wrong with the whole.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};

use crate::domain::seen::{EngineState, LeaseStoreState};
use crate::domain::snapshot::{Phase, RoomPhase, RoomView, Snapshot};
use crate::tui::human::{bytes, bytes_of, count, left};
use crate::tui::layer::Layer;
use crate::tui::model::{Link, Model};
use crate::tui::text::{clean, wrap};

use super::bits::{bar, ends, join, share};

/// Cells of a host bar, where there is room for it.
const BAR: usize = 10;
/// From this width on host figures have bars.
const BARS_FROM: u16 = 110;
/// Lines that one trouble may take.
const TROUBLE_ROWS: usize = 2;

/// Phases in the order of the summary: troubles first.
const SUMMARY: [Phase; 12] = [
    Phase::Failed,
    Phase::Stopped,
    Phase::Frozen,
    Phase::Ready,
    Phase::Wanted,
    Phase::Creating,
    Phase::Starting,
    Phase::Closing,
    Phase::Archiving,
    Phase::Verified,
    Phase::Removing,
    Phase::Gone,
];

/// Lines that the header takes.
pub fn rows(model: &Model, low: bool) -> u16 {
    if low {
        return 1;
    }
    3 + u16::try_from(troubles(model, model.size.0).len()).unwrap_or(0)
}

/// Draws it.
pub fn draw(model: &Model, frame: &mut Frame, area: Rect) {
    let mut lines = vec![
        first(model, area.width),
        host(model, area.width),
        summary(model, area.width),
    ];
    let bad = model.look.bad();
    lines.extend(
        troubles(model, area.width)
            .into_iter()
            .map(|line| Line::styled(line, bad)),
    );
    frame.render_widget(Text::from(lines), area);
}

fn first(model: &Model, width: u16) -> Line<'static> {
    let look = model.look;
    let mut room = vec![Span::styled("labtop", look.accent()), Span::raw("  ")];
    room.extend(room_shown(model));
    let mut status = Vec::new();
    if model.incidents > 0 {
        let text = format!("{} (n)  ", count(model.incidents, "incident"));
        status.push(Span::styled(text, look.bad()));
    }
    if model.missed > 0 {
        status.push(Span::styled(
            format!("{} missed  ", count_of(model.missed, "notice")),
            look.warn(),
        ));
    }
    status.push(link(model));
    let clock = model.snapshot.as_deref().map(|s| clean(&s.clock, look.ascii));
    status.extend(clock.map(|clock| Span::raw(format!("  {clock}"))));
    ends(room, status, width, look)
}

fn count_of(n: u64, one: &str) -> String {
    count(usize::try_from(n).unwrap_or(usize::MAX), one)
}

fn link(model: &Model) -> Span<'static> {
    let look = model.look;
    match &model.link {
        Link::Connecting => Span::styled("connecting", look.warn()),
        Link::Lost(_) => Span::styled("reconnecting", look.bad()),
        Link::Attached if model.is_quiet() => Span::styled(format!("no news for {}s", model.quiet), look.warn()),
        Link::Attached => Span::styled("attached", look.good()),
    }
}

fn room_shown(model: &Model) -> Vec<Span<'static>> {
    let look = model.look;
    let rooms = model.rooms();
    let Some(room) = model.room_view() else {
        let all = match rooms.len() {
            0 => "no rooms".to_owned(),
            n => format!("all {n} rooms"),
        };
        return vec![Span::styled(all, look.strong())];
    };
    let mut spans = vec![Span::styled(room.name.to_string(), look.strong())];
    if rooms.len() > 1 {
        let at = rooms.iter().position(|other| other.name == room.name).unwrap_or(0) + 1;
        spans.push(Span::styled(format!(" {at}/{}", rooms.len()), look.dim()));
    }
    let dot = look.pick(" · ", " | ");
    for fact in facts(room) {
        spans.push(Span::styled(dot, look.dim()));
        spans.push(Span::raw(fact));
    }
    spans
}

fn facts(room: &RoomView) -> Vec<String> {
    let phase = match room.phase {
        RoomPhase::Opening => "Opening",
        RoomPhase::Open => "Open",
        RoomPhase::Closing => "Closing",
    };
    let mut facts = vec![phase.to_owned(), room.template.to_string()];
    if room.exam {
        facts.push("exam".to_owned());
    }
    let held = room.seats.iter().filter(|seat| seat.held).count();
    if held > 0 {
        facts.push(format!("{held} held"));
    }
    facts.extend(room.lease_seconds_left.map(|seconds| match seconds {
        0 => "ended".to_owned(),
        s => format!("{} left", left(s)),
    }));
    facts
}

fn host(model: &Model, width: u16) -> Line<'static> {
    let Some(snapshot) = model.snapshot.as_deref() else {
        return Line::default();
    };
    let look = model.look;
    let gap = Span::raw(if width >= BARS_FROM { "     " } else { "   " });
    let parts = vec![
        cpu(model, snapshot, width),
        memory(model, snapshot, width),
        disk(model, snapshot),
    ];
    ends(join(parts, &gap), engine(model, &snapshot.engine), width, look)
}

fn cpu(model: &Model, snapshot: &Snapshot, width: u16) -> Vec<Span<'static>> {
    let percent = snapshot.host.cpu_percent;
    let load = f64::from(percent) / 100.0;
    gauge(model, "CPU", format!("{percent:3.0}%"), load, width)
}

fn memory(model: &Model, snapshot: &Snapshot, width: u16) -> Vec<Span<'static>> {
    let host = &snapshot.host;
    let figure = bytes_of(host.memory_used_bytes, host.memory_total_bytes);
    gauge(
        model,
        "memory",
        figure,
        share(host.memory_used_bytes, host.memory_total_bytes),
        width,
    )
}

fn gauge(model: &Model, name: &'static str, figure: String, load: f64, width: u16) -> Vec<Span<'static>> {
    let look = model.look;
    let mut spans = vec![
        Span::styled(name, look.dim()),
        Span::raw(" "),
        Span::styled(figure, look.load(load)),
    ];
    if width >= BARS_FROM {
        spans.push(Span::raw(" "));
        spans.extend(bar(look, load, BAR, look.load(load)));
    }
    spans
}

fn disk(model: &Model, snapshot: &Snapshot) -> Vec<Span<'static>> {
    let look = model.look;
    let host = &snapshot.host;
    if host.disk_total_bytes == 0 {
        // The archives are kept elsewhere.
        return Vec::new();
    }
    let full = 1.0 - share(host.disk_free_bytes, host.disk_total_bytes.max(1));
    vec![
        Span::styled("disk ", look.dim()),
        Span::styled(format!("{} free", bytes(host.disk_free_bytes)), look.load(full)),
    ]
}

fn engine(model: &Model, state: &EngineState) -> Vec<Span<'static>> {
    let look = model.look;
    match state {
        EngineState::Unknown => vec![Span::styled("Docker ?", look.dim())],
        EngineState::Up(info) => vec![
            Span::styled("Docker ", look.dim()),
            Span::raw(clean(&info.version, look.ascii)),
        ],
        EngineState::Down(_) => vec![Span::styled("Docker DOWN", look.bad())],
    }
}

fn summary(model: &Model, width: u16) -> Line<'static> {
    let look = model.look;
    let mut parts = vec![vec![Span::styled(count(model.rows.len(), "seat"), look.strong())]];
    for phase in SUMMARY {
        let n = (0..model.rows.len())
            .filter(|at| model.seat_at(*at).is_some_and(|seat| seat.phase == phase))
            .count();
        if n > 0 {
            parts.push(vec![Span::styled(format!("{n} {}", phase.word()), look.phase(phase))]);
        }
    }
    if model.rows.is_empty() && model.filter.value().is_empty() {
        parts.clear();
    }
    ends(join(parts, &Span::raw("  ")), listing(model), width, look)
}

/// How the seats are listed: marks, filter, order.
pub fn listing(model: &Model) -> Vec<Span<'static>> {
    let look = model.look;
    let mut parts = Vec::new();
    if !model.marks.is_empty() {
        parts.push(vec![Span::styled(
            format!("{} marked", model.marks.len()),
            look.accent(),
        )]);
    }
    let typing = model.layers.iter().any(|layer| matches!(layer, Layer::Filter));
    if !model.rows.is_empty() {
        parts.push(vec![Span::styled("sort ", look.dim()), Span::raw(model.sort.word())]);
    }
    if typing || !model.filter.value().is_empty() {
        let text = clean(model.filter.raw(), look.ascii);
        parts.push(vec![
            Span::styled("filter /", look.dim()),
            Span::styled(text, look.accent()),
        ]);
    }
    join(parts, &Span::raw("  "))
}

/// What is wrong with the whole, in lines of `width` cells.
fn troubles(model: &Model, width: u16) -> Vec<String> {
    let mut texts = Vec::new();
    if let Link::Lost(why) = &model.link {
        texts.push(format!(
            "The agent does not answer: {why}. Trying again; figures are old."
        ));
    }
    if let Some(EngineState::Down(why)) = model.snapshot.as_deref().map(|s| &s.engine) {
        texts.push(format!("Docker DOWN: {why}"));
    }
    match model.snapshot.as_deref().map(|s| &s.lease_store) {
        Some(LeaseStoreState::Away(why)) => texts.push(format!("Lease store away, the ledger serves: {why}")),
        Some(LeaseStoreState::Contested(names)) => texts.push(format!("Somebody else holds the leases of {names}")),
        Some(LeaseStoreState::Up) | None => {}
    }
    if let Some(fault) = model.room_view().and_then(|room| room.fault.as_ref()) {
        texts.push(fault.to_string());
    } else {
        texts.extend(first_room_fault(model));
    }
    let ascii = model.look.ascii;
    let lines = texts.iter().map(|text| clean(text, ascii));
    lines
        .flat_map(|text| wrap(&text, usize::from(width), TROUBLE_ROWS, ascii))
        .collect()
}

fn first_room_fault(model: &Model) -> Option<String> {
    if model.room.is_some() {
        return None;
    }
    let room = model.rooms().iter().find(|room| room.fault.is_some())?;
    room.fault.as_ref().map(|fault| format!("{}: {fault}", room.name))
}
