//! Cards with access codes: a page to print, a table, JSON.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::exit::{Exit, Problem};
use crate::cli::list;
use crate::cli::table::{self, Align};
use crate::domain::ids::{RoomName, StudentId};
use crate::domain::roster::{PersonName, RosterRow};

/// A student's card.
pub(super) struct Card {
    pub(super) row: RosterRow,
    pub(super) room: RoomName,
    /// Where students sign in, where the configuration says so.
    pub(super) address: Option<String>,
    /// The code, when it is a new one: an older one cannot be told again.
    pub(super) code: Option<String>,
}

/// One card in `roster cards --json`: a stable contract with scripts.
#[derive(Debug, Serialize)]
struct CardJson<'a> {
    room: &'a RoomName,
    student: &'a StudentId,
    address: Option<&'a str>,
    name: Option<&'a PersonName>,
    code: Option<&'a str>,
}

/// A new file that only this user can read, made before there is anything secret to write.
pub(super) struct Page {
    path: PathBuf,
    file: File,
}

/// Takes the place of a page.
///
/// # Errors
/// When something is there already, or nothing can be.
pub(super) fn reserve(path: &Path) -> Result<Page, Problem> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| {
        let next = if error.kind() == io::ErrorKind::AlreadyExists {
            ": take another name, or move it away"
        } else {
            ""
        };
        Problem::new(
            Exit::Failed,
            format!("{} cannot be made: {error}{next}; no code was changed", path.display()),
        )
    })?;
    let path = path.to_owned();
    Ok(Page { path, file })
}

impl Page {
    /// Fills it.
    ///
    /// # Errors
    /// When it cannot be written; the codes in it are in force all the same.
    pub(super) fn write(mut self, text: &str) -> Result<(), Problem> {
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all());
        written.map_err(|error| {
            let text = format!(
                "{} cannot be written: {error}. The new codes are in force: `labtop roster reissue` gives others",
                self.path.display()
            );
            Problem::new(Exit::Failed, text)
        })
    }
}

/// Cards as a JSON array.
///
/// # Errors
/// When they cannot be written as JSON.
pub(super) fn json(cards: &[Card]) -> io::Result<String> {
    let rows: Vec<_> = cards
        .iter()
        .map(|card| CardJson {
            room: &card.room,
            student: &card.row.student,
            address: card.address.as_deref(),
            name: card.row.name.as_ref(),
            code: card.code.as_deref(),
        })
        .collect();
    list::json(&rows)
}

/// Cards as a table.
pub(super) fn table(cards: &[Card]) -> String {
    let columns = [("STUDENT", Align::Left), ("CODE", Align::Left), ("NAME", Align::Left)];
    let cells = |card: &Card| {
        let code = card.code.as_deref().unwrap_or("as before");
        let name = card.row.name.as_ref().map(ToString::to_string);
        vec![card.row.student.to_string(), code.to_owned(), name.unwrap_or_default()]
    };
    table::render(&columns, &cards.iter().map(cells).collect::<Vec<_>>())
}

/// A page of cards to be cut apart.
pub(super) fn page(room: &RoomName, cards: &[Card]) -> String {
    let body: String = cards.iter().map(card).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Access codes of {room}</title>\n\
         <style>{STYLE}</style></head><body>\n{body}</body></html>\n"
    )
}

const STYLE: &str = "
@page { size: A4; margin: 12mm }
body { font: 11pt/1.35 sans-serif; margin: 0; display: grid; grid-template-columns: 1fr 1fr; gap: 4mm }
article { border: 1px dashed #777; padding: 4mm; break-inside: avoid; overflow-wrap: anywhere }
h2 { font-size: 12pt; margin: 0 0 2mm }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 1mm 4mm; margin: 0 }
dt { color: #555 } dd { margin: 0 }
code { font: bold 15pt monospace; letter-spacing: .06em }
";

fn card(card: &Card) -> String {
    let name = card
        .row
        .name
        .as_ref()
        .map_or_else(|| card.row.student.to_string(), ToString::to_string);
    let code = card.code.as_deref().map_or_else(
        || "as on your earlier card".to_owned(),
        |code| format!("<code>{code}</code>"),
    );
    let address = card.address.as_deref().map_or_else(String::new, |url| {
        format!("<dt>Sign in at</dt><dd>{}/login</dd>", escaped(url))
    });
    format!(
        "<article><h2>{}</h2><dl>{address}<dt>Room</dt><dd>{}</dd><dt>Student</dt><dd>{}</dd><dt>Access code</dt><dd>{code}</dd>\
         </dl></article>\n",
        escaped(&name),
        card.room,
        escaped(card.row.student.as_str())
    )
}

fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\'' => "&#39;".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_text_on_a_card_and_an_older_code_is_not_told() {
        let card = |name: &str, code: Option<&str>| Card {
            row: RosterRow {
                name: Some(name.parse().unwrap()),
                ..RosterRow::of("an".parse().unwrap())
            },
            room: "exam-1".parse().unwrap(),
            address: Some("https://lab.test".to_owned()),
            code: code.map(str::to_owned),
        };
        let cards = [card("<script>&\"'", Some("7KQ2-M9XD")), card("Bo", None)];
        let page = page(&"exam-1".parse().unwrap(), &cards);
        assert!(
            page.contains("&lt;script&gt;&amp;&quot;&#39;") && !page.contains("<script>"),
            "{page}"
        );
        assert!(page.contains("https://lab.test/login"), "{page}");
        assert!(
            page.contains("7KQ2-M9XD") && page.contains("as on your earlier card"),
            "{page}"
        );
    }
}
