//! The one table of keys: footer, help and meaning all come from it.
//!
//! Verbs that disturb a student are capital letters, which no moving hand presses by accident.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a person wants, whatever key said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Intent {
    /// One up.
    Up,
    /// One down.
    Down,
    /// To the left.
    Left,
    /// To the right.
    Right,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// To the first.
    First,
    /// To the last.
    Last,
    /// The next room, field or button.
    Next,
    /// The one before.
    Previous,
    /// Do what has the focus.
    Accept,
    /// Do what the dialog asks.
    Yes,
    /// Out of here, with nothing done.
    Back,
    /// Choose which seats are listed.
    Filter,
    /// Order them otherwise.
    Sort,
    /// Mark a seat, or unmark it.
    Mark,
    /// Open a room.
    Open,
    /// Close a room.
    Close,
    /// Move the end of leases.
    Extend,
    /// Freeze.
    Freeze,
    /// Thaw.
    Thaw,
    /// Hold.
    Hold,
    /// Release.
    Release,
    /// Restart.
    Restart,
    /// Kill.
    Kill,
    /// Read a seat's log.
    Log,
    /// Go into a seat.
    Shell,
    /// The list of archives.
    Archives,
    /// The list of sessions.
    Sessions,
    /// End a session.
    Revoke,
    /// Get a code for one look into a seat.
    Peek,
    /// Those of all rooms, or of one again.
    Everything,
    /// Ask for the list again.
    Reload,
    /// Read an archive back.
    Verify,
    /// Read all listed archives back.
    VerifyAll,
    /// Make an archive's work files of this host.
    Restore,
    /// Make a whole room's work files of this host.
    Export,
    /// Stop a task.
    Cancel,
    /// All notices.
    News,
    /// All keys.
    Help,
    /// Leave the board.
    Quit,
}

/// Where a key means what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The table.
    Board,
    /// A question.
    Dialog,
    /// The open-room form.
    Form,
    /// The list of archives.
    Archives,
    /// What is in an archive.
    Tree,
    /// A part of an archive.
    Text,
    /// The list of sessions.
    Sessions,
    /// A code for a look.
    Peek,
    /// A log.
    Log,
    /// Help and notices.
    Page,
    /// While the filter is typed.
    Filter,
}

impl Scope {
    /// All of them, in the order of the help.
    pub const ALL: [Self; 11] = [
        Self::Board,
        Self::Archives,
        Self::Tree,
        Self::Text,
        Self::Sessions,
        Self::Peek,
        Self::Dialog,
        Self::Form,
        Self::Log,
        Self::Page,
        Self::Filter,
    ];

    /// Its title in the help.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Board => "On the board",
            Self::Dialog => "In a question (Enter means Cancel until you move)",
            Self::Form => "In the open-room form",
            Self::Archives => "In the list of archives",
            Self::Tree => "In an archive",
            Self::Text => "In a file of an archive",
            Self::Sessions => "In the list of sessions",
            Self::Peek => "In a code for a look",
            Self::Log => "In a log",
            Self::Page => "In help and notices",
            Self::Filter => "While you type a filter",
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Binding {
    /// Where.
    pub scope: Scope,
    /// Any of these keys.
    pub keys: &'static [KeyCode],
    /// What they mean.
    pub intent: Intent,
    /// The footer's word; empty for keys that the footer leaves out.
    pub short: &'static str,
    /// The help's words.
    pub help: &'static str,
}

use KeyCode::{BackTab, Backspace, Char, Down, End, Enter, Esc, Home, Left, PageDown, PageUp, Right, Tab, Up};

const fn key(
    scope: Scope,
    keys: &'static [KeyCode],
    intent: Intent,
    short: &'static str,
    help: &'static str,
) -> Binding {
    Binding {
        scope,
        keys,
        intent,
        short,
        help,
    }
}

/// Every key of the board.
#[rustfmt::skip] // One key, one line: it is read as a table.
pub const KEYS: &[Binding] = &[
    key(Scope::Board, &[Char('?')], Intent::Help, "help", "all keys"),
    key(Scope::Board, &[Char('q')], Intent::Quit, "quit", "leave the board; rooms go on (also Ctrl-C)"),
    key(Scope::Board, &[Char('O')], Intent::Open, "open", "open a room"),
    key(Scope::Board, &[Char('C')], Intent::Close, "close", "close the room: archive, verify, remove"),
    key(Scope::Board, &[Char('a')], Intent::Archives, "archives", "archives: look into, verify, restore, export"),
    key(Scope::Board, &[Char('K')], Intent::Kill, "kill", "kill the seat's program; it stays stopped"),
    key(Scope::Board, &[Char('R')], Intent::Restart, "restart", "restart the seat's program"),
    key(Scope::Board, &[Char('F')], Intent::Freeze, "freeze", "freeze seats, or the room"),
    key(Scope::Board, &[Char('T')], Intent::Thaw, "thaw", "let frozen seats, or the room, go on"),
    key(Scope::Board, &[Char('L')], Intent::Log, "log", "read the seat's log"),
    key(Scope::Board, &[Char('S')], Intent::Shell, "shell", "open a shell in the seat"),
    key(Scope::Board, &[Char('w')], Intent::Sessions, "sessions", "who is signed in, from where; end sessions"),
    key(Scope::Board, &[Char('E')], Intent::Extend, "extend", "give seats, or the room, more time"),
    key(Scope::Board, &[Char('H')], Intent::Hold, "hold", "let no lease end until it is released"),
    key(Scope::Board, &[Char('U')], Intent::Release, "release", "let leases of held seats end again"),
    key(Scope::Board, &[Char(' ')], Intent::Mark, "mark", "mark the seat: verbs then act on all marked seats"),
    key(Scope::Board, &[Tab, Char(']'), Right, Char('l')], Intent::Next, "room", "show the next room"),
    key(Scope::Board, &[BackTab, Char('['), Left, Char('h')], Intent::Previous, "", "show the room before"),
    key(Scope::Board, &[Char('/')], Intent::Filter, "filter", "list seats by student, room or phase"),
    key(Scope::Board, &[Char('s')], Intent::Sort, "sort", "order by student, CPU, memory, phase or lease"),
    key(Scope::Board, &[Char('P')], Intent::Peek, "peek", "get a code for one look into the seat"),
    key(Scope::Board, &[Up, Char('k')], Intent::Up, "", "one seat up"),
    key(Scope::Board, &[Down, Char('j')], Intent::Down, "", "one seat down"),
    key(Scope::Board, &[PageUp], Intent::PageUp, "", "a screen up"),
    key(Scope::Board, &[PageDown], Intent::PageDown, "", "a screen down"),
    key(Scope::Board, &[Home, Char('g')], Intent::First, "", "to the first seat"),
    key(Scope::Board, &[End, Char('G')], Intent::Last, "", "to the last seat"),
    key(Scope::Board, &[Char('x')], Intent::Cancel, "cancel", "cancel the latest verifying, restoring or exporting"),
    key(Scope::Board, &[Char('n')], Intent::News, "notices", "read the latest notices and incidents"),
    key(Scope::Board, &[Esc], Intent::Back, "", "clear the filter, then the marks, then failures"),
    key(Scope::Archives, &[Char('?')], Intent::Help, "help", "all keys"),
    key(Scope::Archives, &[Esc, Char('q')], Intent::Back, "back", "clear the filter, then back to the board"),
    key(Scope::Archives, &[Enter, Right, Char('l')], Intent::Accept, "open", "look into the archive"),
    key(Scope::Archives, &[Char('v')], Intent::Verify, "verify", "read it back: is it as it was sent?"),
    key(Scope::Archives, &[Char('R')], Intent::Restore, "restore", "make files of it in a directory of this host"),
    key(Scope::Archives, &[Char('a')], Intent::Everything, "all", "those of all rooms, or of the room again"),
    key(Scope::Archives, &[Char('/')], Intent::Filter, "filter", "list by student, room, time, id, torn, damaged"),
    key(Scope::Archives, &[Char('x')], Intent::Cancel, "cancel", "cancel what is done with it, or the latest"),
    key(Scope::Archives, &[Char('E')], Intent::Export, "export", "make files of the whole room's work, for marking"),
    key(Scope::Archives, &[Char('V')], Intent::VerifyAll, "verify all", "read all listed archives back, one by one"),
    key(Scope::Archives, &[Char('L')], Intent::Log, "log", "read what the seat had printed"),
    key(Scope::Archives, &[Char('r')], Intent::Reload, "reload", "ask for the list again"),
    key(Scope::Archives, &[Up, Char('k')], Intent::Up, "", "one archive up"),
    key(Scope::Archives, &[Down, Char('j')], Intent::Down, "", "one archive down"),
    key(Scope::Archives, &[PageUp], Intent::PageUp, "", "a screen up"),
    key(Scope::Archives, &[PageDown, Char(' ')], Intent::PageDown, "", "a screen down"),
    key(Scope::Archives, &[Home, Char('g')], Intent::First, "", "to the newest"),
    key(Scope::Archives, &[End, Char('G')], Intent::Last, "", "to the oldest"),
    key(Scope::Archives, &[Char('n')], Intent::News, "", "read the latest notices"),
    key(Scope::Tree, &[Char('?')], Intent::Help, "help", "all keys"),
    key(Scope::Tree, &[Esc, Char('q')], Intent::Back, "archives", "back to the list of archives"),
    key(Scope::Tree, &[Enter, Right, Char('l')], Intent::Accept, "open", "into the directory, or read the file"),
    key(Scope::Tree, &[Left, Backspace, Char('h')], Intent::Left, "up", "to the directory above"),
    key(Scope::Tree, &[Char('v')], Intent::Verify, "verify", "read the archive back: is it as it was sent?"),
    key(Scope::Tree, &[Char('R')], Intent::Restore, "restore", "make files of the whole archive on this host"),
    key(Scope::Tree, &[Char('x')], Intent::Cancel, "cancel", "cancel what is done with it, or the latest"),
    key(Scope::Tree, &[Char('L')], Intent::Log, "log", "read what the seat had printed"),
    key(Scope::Tree, &[Up, Char('k')], Intent::Up, "", "one up"),
    key(Scope::Tree, &[Down, Char('j')], Intent::Down, "", "one down"),
    key(Scope::Tree, &[PageUp], Intent::PageUp, "", "a screen up"),
    key(Scope::Tree, &[PageDown, Char(' ')], Intent::PageDown, "", "a screen down"),
    key(Scope::Tree, &[Home, Char('g')], Intent::First, "", "to the first"),
    key(Scope::Tree, &[End, Char('G')], Intent::Last, "", "to the last"),
    key(Scope::Tree, &[Char('n')], Intent::News, "", "read the latest notices"),
    key(Scope::Text, &[Esc, Char('q')], Intent::Back, "close", "close the file"),
    key(Scope::Text, &[Up, Char('k')], Intent::Up, "scroll", "one line up"),
    key(Scope::Text, &[Down, Char('j')], Intent::Down, "", "one line down"),
    key(Scope::Text, &[PageUp], Intent::PageUp, "", "a screen up"),
    key(Scope::Text, &[PageDown, Char(' ')], Intent::PageDown, "page", "a screen down"),
    key(Scope::Text, &[Home, Char('g')], Intent::First, "top", "to the first line"),
    key(Scope::Text, &[End, Char('G')], Intent::Last, "end", "to the last line that was fetched"),
    key(Scope::Text, &[Left, Char('h')], Intent::Left, "", "to the left"),
    key(Scope::Text, &[Right, Char('l')], Intent::Right, "right", "to the right, for long lines"),
    key(Scope::Sessions, &[Char('?')], Intent::Help, "help", "all keys"),
    key(Scope::Sessions, &[Esc, Char('q')], Intent::Back, "back", "clear the filter, then back to the board"),
    key(Scope::Sessions, &[Char('R')], Intent::Revoke, "revoke", "sign the browser out that has this session"),
    key(Scope::Sessions, &[Char('a')], Intent::Everything, "all", "those of all rooms, or of the room again"),
    key(Scope::Sessions, &[Char('/')], Intent::Filter, "filter", "list by student, room, time, address, looker-in"),
    key(Scope::Sessions, &[Char('r')], Intent::Reload, "reload", "ask again now (it is done every 5 seconds)"),
    key(Scope::Sessions, &[Up, Char('k')], Intent::Up, "", "one session up"),
    key(Scope::Sessions, &[Down, Char('j')], Intent::Down, "", "one session down"),
    key(Scope::Sessions, &[PageUp], Intent::PageUp, "", "a screen up"),
    key(Scope::Sessions, &[PageDown, Char(' ')], Intent::PageDown, "", "a screen down"),
    key(Scope::Sessions, &[Home, Char('g')], Intent::First, "", "to the first"),
    key(Scope::Sessions, &[End, Char('G')], Intent::Last, "", "to the last"),
    key(Scope::Sessions, &[Char('n')], Intent::News, "notices", "read the latest notices and incidents"),
    key(Scope::Peek, &[Esc, Char('q'), Enter], Intent::Back, "close", "close; the code is shown nowhere else"),
    key(Scope::Dialog, &[Esc, Char('n'), Char('q')], Intent::Back, "cancel", "cancel"),
    key(Scope::Dialog, &[Tab, Right, Down, Char('l'), Char('j')], Intent::Next, "move", "next button"),
    key(Scope::Dialog, &[BackTab, Left, Up, Char('h'), Char('k')], Intent::Previous, "", "button before"),
    key(Scope::Dialog, &[Enter], Intent::Accept, "press the button", "press the button in focus; at first that is Cancel"),
    key(Scope::Dialog, &[Char('y')], Intent::Yes, "yes", "yes (not while a text is asked for)"),
    key(Scope::Form, &[Tab, Down], Intent::Next, "next", "next field"),
    key(Scope::Form, &[BackTab, Up], Intent::Previous, "", "field before"),
    key(Scope::Form, &[Left], Intent::Left, "", "template before; left in a text"),
    key(Scope::Form, &[Right], Intent::Right, "choose", "next template; right in a text"),
    key(Scope::Form, &[Char(' ')], Intent::Mark, "", "exam: yes or no"),
    key(Scope::Form, &[Enter], Intent::Accept, "next, or press the button", "next field, or press the button in focus"),
    key(Scope::Form, &[Esc], Intent::Back, "cancel", "cancel"),
    key(Scope::Log, &[Esc, Char('q')], Intent::Back, "close", "close the log"),
    key(Scope::Log, &[Up, Char('k')], Intent::Up, "scroll", "one line up"),
    key(Scope::Log, &[Down, Char('j')], Intent::Down, "", "one line down"),
    key(Scope::Log, &[PageUp], Intent::PageUp, "", "a screen up"),
    key(Scope::Log, &[PageDown, Char(' ')], Intent::PageDown, "", "a screen down"),
    key(Scope::Log, &[Home, Char('g')], Intent::First, "oldest", "the oldest line kept"),
    key(Scope::Log, &[End, Char('G')], Intent::Last, "follow", "the newest line, and follow"),
    key(Scope::Log, &[Left, Char('h')], Intent::Left, "", "to the left"),
    key(Scope::Log, &[Right, Char('l')], Intent::Right, "", "to the right, for long lines"),
    key(Scope::Page, &[Esc, Char('q'), Char('?'), Char('n'), Enter], Intent::Back, "close", "close"),
    key(Scope::Page, &[Up, Char('k')], Intent::Up, "scroll", "one line up"),
    key(Scope::Page, &[Down, Char('j')], Intent::Down, "", "one line down"),
    key(Scope::Page, &[PageUp], Intent::PageUp, "", "a screen up"),
    key(Scope::Page, &[PageDown, Char(' ')], Intent::PageDown, "", "a screen down"),
    key(Scope::Page, &[Home, Char('g')], Intent::First, "", "to the top"),
    key(Scope::Page, &[End, Char('G')], Intent::Last, "", "to the end"),
    key(Scope::Filter, &[Enter], Intent::Accept, "keep", "keep the filter"),
    key(Scope::Filter, &[Esc], Intent::Back, "clear", "clear the filter"),
    key(Scope::Filter, &[Up], Intent::Up, "", "one row up"),
    key(Scope::Filter, &[Down], Intent::Down, "", "one row down"),
];

/// What a key means in a scope.
#[must_use]
pub fn intent(scope: Scope, event: &KeyEvent) -> Option<Intent> {
    if event.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
        return None;
    }
    let binding = KEYS
        .iter()
        .find(|binding| binding.scope == scope && binding.keys.contains(&event.code))?;
    Some(binding.intent)
}

/// Whether it is the key that leaves from anywhere.
#[must_use]
pub fn is_interrupt(event: &KeyEvent) -> bool {
    event.code == Char('c') && event.modifiers.contains(KeyModifiers::CONTROL)
}

/// A key's name for people.
#[must_use]
pub fn name(key: KeyCode) -> String {
    match key {
        Char(' ') => "Space".to_owned(),
        Char(c) => c.to_string(),
        BackTab => "Shift-Tab".to_owned(),
        PageUp => "PgUp".to_owned(),
        PageDown => "PgDn".to_owned(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        let mut seen = HashSet::new();
        for binding in KEYS {
            for key in binding.keys {
                assert!(seen.insert((binding.scope, *key)), "{:?} {key:?}", binding.scope);
            }
        }
    }

    #[test]
    fn verbs_that_disturb_a_student_are_capital_letters() {
        use Intent::{Close, Extend, Freeze, Hold, Kill, Open, Peek, Release, Restart, Revoke, Shell, Thaw};
        let verbs = [
            Kill, Restart, Freeze, Thaw, Hold, Release, Close, Extend, Open, Shell, Peek, Revoke,
        ];
        for binding in KEYS.iter().filter(|b| verbs.contains(&b.intent)) {
            assert!(matches!(binding.keys, [Char('A'..='Z')]), "{binding:?}");
        }
    }
}
