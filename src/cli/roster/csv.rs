//! A roster as a spreadsheet writes it: with or without a mark of the encoding, commas or semicolons, a line of titles
//! or none. Every mistake is told with its line.

use std::collections::BTreeMap;

use crate::domain::ids::{StudentId, quoted};
use crate::domain::policy::{LEASE_MINUTES_MAX, SEATS_PER_ROOM_MAX};
use crate::domain::roster::RosterRow;

/// What some programs put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Mistakes that are told; who has more has another file.
const TOLD_MAX: usize = 20;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Id,
    Name,
    Email,
    Minutes,
}

/// The columns where no titles say otherwise.
const IN_ORDER: [Column; 4] = [Column::Id, Column::Name, Column::Email, Column::Minutes];

/// The rows, or what is wrong, a line each.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<RosterRow>, Vec<String>> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = good.split(|b| *b == b'\n').count();
        vec![format!("line {line}: not UTF-8: save the file as UTF-8 text")]
    })?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(delimiter(text))
        .from_reader(text.as_bytes());
    let mut sheet = Sheet::default();
    for record in reader.records() {
        match record {
            Ok(record) => sheet.take(&record),
            Err(error) => sheet.mistakes.push(format!("{error}")),
        }
    }
    sheet.end()
}

/// Whichever stands more often in the first line.
fn delimiter(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    let count = |wanted: char| first.chars().filter(|c| *c == wanted).count();
    let most = [(',', b','), (';', b';'), ('\t', b'\t')]
        .into_iter()
        .max_by_key(|(c, _)| (count(*c), *c == ','));
    most.map_or(b',', |(_, byte)| byte)
}

#[derive(Default)]
struct Sheet {
    columns: Option<Vec<Option<Column>>>,
    rows: Vec<RosterRow>,
    lines: BTreeMap<StudentId, u64>,
    mistakes: Vec<String>,
}

impl Sheet {
    fn take(&mut self, record: &csv::StringRecord) {
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().all(str::is_empty) {
            return;
        }
        if self.columns.is_none() {
            match titles(record) {
                Some(Ok(columns)) => {
                    self.columns = Some(columns);
                    return;
                }
                Some(Err(mistake)) => {
                    self.mistakes.push(format!("line {line}: {mistake}"));
                    self.columns = Some(Vec::new());
                    return;
                }
                None => self.columns = Some(IN_ORDER.into_iter().map(Some).collect()),
            }
        }
        let columns = self.columns.as_deref().unwrap_or_default();
        if columns.is_empty() {
            return;
        }
        match row(columns, record) {
            Err(wrong) => self
                .mistakes
                .extend(wrong.iter().map(|text| format!("line {line}: {text}"))),
            Ok(row) => {
                if let Some(first) = self.lines.insert(row.student.clone(), line) {
                    let text = format!("line {line}: {} stands on line {first} already", row.student);
                    self.mistakes.push(text);
                }
                self.rows.push(row);
            }
        }
    }

    fn end(mut self) -> Result<Vec<RosterRow>, Vec<String>> {
        if self.rows.is_empty() && self.mistakes.is_empty() {
            self.mistakes.push("no student in it".to_owned());
        }
        if self.rows.len() > SEATS_PER_ROOM_MAX as usize {
            let text = format!(
                "{} students; a room holds at most {SEATS_PER_ROOM_MAX}",
                self.rows.len()
            );
            self.mistakes.push(text);
        }
        if self.mistakes.is_empty() {
            return Ok(self.rows);
        }
        let more = self.mistakes.len().saturating_sub(TOLD_MAX);
        self.mistakes.truncate(TOLD_MAX);
        if more > 0 {
            self.mistakes.push(format!("and {more} more"));
        }
        Err(self.mistakes)
    }
}

/// The columns when a line is one of titles: it names the id, or two others.
fn titles(record: &csv::StringRecord) -> Option<Result<Vec<Option<Column>>, String>> {
    let column = |title: &str| match title.to_lowercase().as_str() {
        "id" | "student" | "student id" | "student_id" => Some(Column::Id),
        "name" | "full name" => Some(Column::Name),
        "email" | "e-mail" | "mail" => Some(Column::Email),
        "minutes" => Some(Column::Minutes),
        _ => None,
    };
    let columns: Vec<Option<Column>> = record.iter().map(column).collect();
    // A student who happens to be called `name` is no title.
    if !columns.contains(&Some(Column::Id)) && columns.iter().flatten().count() < 2 {
        return None;
    }
    let twice = IN_ORDER
        .iter()
        .any(|wanted| columns.iter().flatten().filter(|column| *column == wanted).count() > 1);
    if twice {
        return Some(Err("a column is there twice".to_owned()));
    }
    if !columns.contains(&Some(Column::Id)) {
        return Some(Err("no column is called `id`".to_owned()));
    }
    Some(Ok(columns))
}

fn row(columns: &[Option<Column>], record: &csv::StringRecord) -> Result<RosterRow, Vec<String>> {
    let mut wrong = Vec::new();
    let field = |wanted: Column| {
        let at = columns.iter().position(|column| *column == Some(wanted))?;
        record.get(at).filter(|text| !text.is_empty())
    };
    if record.len() > columns.len() && record.iter().skip(columns.len()).any(|text| !text.is_empty()) {
        wrong.push(format!("{} fields, and only {} columns", record.len(), columns.len()));
    }
    let student = match field(Column::Id) {
        None => {
            wrong.push("no id".to_owned());
            None
        }
        Some(text) => noted(text.parse().map_err(|error| format!("{error}")), &mut wrong),
    };
    let name = field(Column::Name).and_then(|text| noted(text.parse().map_err(|error| format!("{error}")), &mut wrong));
    let email =
        field(Column::Email).and_then(|text| noted(text.parse().map_err(|error| format!("{error}")), &mut wrong));
    let minutes = field(Column::Minutes).and_then(|text| noted(minutes(text), &mut wrong));
    match student {
        Some(student) if wrong.is_empty() => Ok(RosterRow {
            student,
            name,
            email,
            minutes,
        }),
        _ => Err(wrong),
    }
}

fn noted<T>(result: Result<T, String>, wrong: &mut Vec<String>) -> Option<T> {
    result.map_err(|text| wrong.push(text)).ok()
}

fn minutes(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|m| (1..=LEASE_MINUTES_MAX).contains(m));
    number.ok_or_else(|| {
        format!(
            "minutes {} are not a number from 1 to {LEASE_MINUTES_MAX}",
            quoted(text)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<String> {
        let rows = parse(text.as_bytes()).unwrap();
        rows.iter().map(|row| row.student.to_string()).collect()
    }

    #[test]
    fn what_spreadsheets_write_is_read() {
        for text in [
            "an,Ánh,an@x.org,90\nbinh,Bình\n",
            "\u{feff}an;Ánh;an@x.org;90\r\nbinh;Bình\r\n",
            "id,name,email,minutes\nan,Ánh,an@x.org,90\nbinh,Bình,,\n\n",
            "Name;ID;Room;Minutes;Email\nÁnh;an;12;90;an@x.org\nBình;binh;;;\n",
            "an\tÁnh\tan@x.org\t90\nbinh\tBình\n",
            "\"an\",\"Ánh\",an@x.org, 90 \n  binh ,\"Bình\"\n",
        ] {
            let rows = parse(text.as_bytes()).unwrap();
            let expected = [("an", "Ánh", Some("an@x.org"), Some(90)), ("binh", "Bình", None, None)];
            let found: Vec<_> = rows
                .iter()
                .map(|row| {
                    let name = row.name.as_ref().map_or("", |name| name.as_str());
                    (
                        row.student.as_str(),
                        name,
                        row.email.as_ref().map(crate::domain::roster::Email::as_str),
                        row.minutes,
                    )
                })
                .collect();
            assert_eq!(found, expected, "{text:?}");
        }
        assert_eq!(
            ids("name\nemail\n"),
            ["name", "email"],
            "one column of ids has no titles"
        );
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = "id,name,minutes\nan,Ánh,0\n-x,\"a\u{7}b\",5\nbinh,B,6\nbinh,B,6,7\nbinh,B,6\n,nobody,\n";
        let mistakes = parse(text.as_bytes()).unwrap_err();
        let starts: Vec<&str> = mistakes.iter().map(|text| text.split(':').next().unwrap()).collect();
        assert_eq!(
            starts,
            ["line 2", "line 3", "line 3", "line 5", "line 6", "line 7"],
            "{mistakes:#?}"
        );
        for bad in ["", "\n\n", "name,email\nx,y\n", "id,id\na,b\n"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let mistakes = parse(b"an,A\nbinh,\xff\n").unwrap_err();
        assert!(mistakes[0].starts_with("line 2: not UTF-8"), "{mistakes:?}");
    }

    #[test]
    fn a_file_of_another_kind_is_not_told_line_by_line() {
        let text = "%PDF\n".repeat(1_000);
        assert_eq!(parse(text.as_bytes()).unwrap_err().len(), TOLD_MAX + 1);
    }
}
