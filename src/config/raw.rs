//! A TOML text read key by key, which remembers every mistake and the line it is on.
//!
//! Knows: TOML, keys, lines. Must not know: what any key means.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Mistake;
use super::value::FromToml;

/// Longest piece of a value that a message shows, in characters.
const SHOWN_MAX: usize = 48;
/// Most edits between an unknown key and the known one that it is taken for.
const TYPING_SLIPS: usize = 2;
/// What is said of keys that the design has and this version has not.
pub(super) const LATER: &str = "not in this version of labtop";

/// A parsed text and the mistakes found in it so far.
pub(super) struct Document<'t> {
    text: &'t str,
    tree: Spanned<DeTable<'t>>,
    mistakes: RefCell<Vec<Mistake>>,
}

impl<'t> Document<'t> {
    /// Parses `text`; what is no TOML becomes mistakes, the rest can still be read.
    pub(super) fn parse(text: &'t str) -> Self {
        let (tree, errors) = DeTable::parse_recoverable(text);
        let mistakes = errors.iter().map(|error| Mistake {
            line: error.span().map(|span| line_of(text, span.start)),
            key: String::new(),
            value: String::new(),
            rule: format!("not TOML: {}", error.message()),
        });
        Self {
            text,
            tree,
            mistakes: RefCell::new(mistakes.collect()),
        }
    }

    /// The keys outside of any table, and the tables.
    pub(super) fn root(&self) -> Section<'_> {
        Section {
            document: self,
            path: String::new(),
            line: 1,
            table: Some(self.tree.get_ref()),
            asked: RefCell::default(),
        }
    }

    /// All mistakes, in the order of lines.
    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        let mut mistakes = self.mistakes.into_inner();
        mistakes.sort_by_key(|mistake| mistake.line);
        mistakes
    }

    fn note(&self, line: usize, key: String, value: String, rule: String) {
        self.mistakes.borrow_mut().push(Mistake {
            line: Some(line),
            key,
            value,
            rule,
        });
    }

    fn shown(&self, value: &Spanned<DeValue<'_>>) -> String {
        if matches!(value.get_ref(), DeValue::Table(_)) {
            return String::new();
        }
        let source = self.text.get(value.span()).unwrap_or_default();
        harmless(&without_password(source))
    }
}

/// One table of the document; it may be absent, then every key is.
pub(super) struct Section<'d> {
    document: &'d Document<'d>,
    path: String,
    line: usize,
    table: Option<&'d DeTable<'d>>,
    asked: RefCell<Vec<String>>,
}

impl<'d> Section<'d> {
    /// Reads `key` and holds it to `rule`. None when it is absent or wrong; what is wrong has been noted.
    pub(super) fn read<T: FromToml, U>(&self, key: &str, rule: impl FnOnce(T) -> Result<U, String>) -> Option<U> {
        let (_, value) = self.entry(key)?;
        match T::from_toml(value.get_ref()).and_then(rule) {
            Ok(good) => Some(good),
            Err(rule) => {
                self.wrong(key, rule);
                None
            }
        }
    }

    /// Reads `key` when any value of its type will do.
    pub(super) fn plain<T: FromToml>(&self, key: &str) -> Option<T> {
        self.read(key, Ok)
    }

    /// The table under `key`.
    pub(super) fn table(&self, key: &str) -> Self {
        let entry = self.entry(key);
        let table = entry.and_then(|(_, value)| match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => None,
        });
        let path = self.path_of(key);
        if entry.is_some() && table.is_none() {
            self.wrong(key, format!("must be a table: [{path}] and its keys below"));
        }
        Self {
            document: self.document,
            path,
            line: entry.map_or(self.line, |(span, _)| line_of(self.document.text, span)),
            table,
            asked: RefCell::default(),
        }
    }

    /// Every key of this table, in alphabetical order.
    pub(super) fn keys(&self) -> Vec<String> {
        let keys = self.table.into_iter().flat_map(|table| table.iter());
        keys.map(|(key, _)| key.get_ref().to_string()).collect()
    }

    /// Whether the table itself is written.
    pub(super) fn exists(&self) -> bool {
        self.table.is_some()
    }

    /// Whether `key` is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Notes that `key` breaks `rule`; a key that is absent is noted on the line of its table.
    pub(super) fn wrong(&self, key: &str, rule: impl Into<String>) {
        let (line, value) = match self.entry(key) {
            Some((start, value)) => (line_of(self.document.text, start), self.document.shown(value)),
            None => (self.line, String::new()),
        };
        self.document.note(line, self.path_of(key), value, rule.into());
    }

    /// Notes every key that nobody asked for: those of `later` belong to later versions, the others are unknown.
    pub(super) fn end(&self, later: &[&str]) {
        let asked = self.asked.take();
        for key in self.keys().iter().filter(|key| !asked.contains(key)) {
            let rule = if later.contains(&key.as_str()) {
                LATER.to_owned()
            } else {
                unknown(key, &asked)
            };
            if is_secret(key) {
                self.wrong_quietly(key, rule);
            } else {
                self.wrong(key, rule);
            }
        }
    }

    /// The same as [`Self::wrong`] without the value.
    fn wrong_quietly(&self, key: &str, rule: String) {
        let start = self.entry(key).map(|(start, _)| line_of(self.document.text, start));
        self.document
            .note(start.unwrap_or(self.line), self.path_of(key), String::new(), rule);
    }

    fn entry(&self, key: &str) -> Option<(usize, &'d Spanned<DeValue<'d>>)> {
        let mut asked = self.asked.borrow_mut();
        if !asked.iter().any(|known| known == key) {
            asked.push(key.to_owned());
        }
        let (key, value) = self.table?.get_key_value(key)?;
        Some((key.span().start, value))
    }

    fn path_of(&self, key: &str) -> String {
        let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let key = if !key.is_empty() && key.bytes().all(bare) {
            harmless(key)
        } else {
            harmless(&format!("{key:?}"))
        };
        if self.path.is_empty() {
            key
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

/// Whether a key that nobody knows may hold a password, for a later version or for another program.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "credential"]
        .iter()
        .any(|word| key.contains(word))
}

/// A value without the user and password of an address in it.
fn without_password(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    let authority = rest.find('/').unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://…{}", &rest[at..]),
        None => value.to_owned(),
    }
}

fn unknown(key: &str, known: &[String]) -> String {
    let near = known.iter().map(|word| (edits(key, word), word)).min();
    match near {
        Some((slips, word)) if slips <= TYPING_SLIPS => format!("unknown key, did you mean `{word}`?"),
        _ => format!("unknown key, known here: {}", known.join(", ")),
    }
}

/// How many letters must be added, dropped or changed to turn one word into the other.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    1 + before.matches('\n').count()
}

/// A piece of somebody's text for one line of a terminal: control characters escaped, what is long cut.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(SHOWN_MAX) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (a, b, n) in [
            ("", "", 0),
            ("memory", "memroy", 2),
            ("pid", "pids", 1),
            ("a", "", 1),
            ("host", "cost", 1),
        ] {
            assert_eq!(edits(a, b), n, "{a} {b}");
            assert_eq!(edits(b, a), n, "{b} {a}");
        }
    }

    #[test]
    fn mistakes_come_in_the_order_of_lines_and_know_them() {
        let document = Document::parse("b = 1\na = 2\n[t]\n\nc = 'x'\n");
        let root = document.root();
        assert_eq!(root.table("t").plain::<i64>("c"), None);
        root.end(&["b"]);
        let found: Vec<_> = document.into_mistakes().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "line 1: b = 1: not in this version of labtop",
                "line 2: a = 2: unknown key, did you mean `t`?",
                "line 5: t.c = 'x': must be a whole number, not text",
            ]
        );
    }
}
