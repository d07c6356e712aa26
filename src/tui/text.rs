//! Makes text from outside harmless and fits text into cells.
//!
//! Everything that a student, an image or an engine may have written passes [`clean`] before it reaches a cell:
//! the terminal never sees a control byte, a text direction override or a character that takes no room.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::domain::harmless::is_hidden;

/// Most combining marks on one letter: real scripts need no more, stacked ones would smear over other rows.
const MARKS_MAX: usize = 3;

/// Cells from one tab stop to the next.
const TAB: usize = 8;

/// Text with everything that could act on a terminal, or hide, written out as visible characters.
#[must_use]
pub fn clean(text: &str, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        push_clean(&mut out, c, ascii, marks);
    }
    out
}

/// One line of a log: bytes that need not be UTF-8, with tabs as spaces.
#[must_use]
pub fn clean_bytes(line: &[u8], ascii: bool) -> String {
    let mut out = String::with_capacity(line.len());
    // The column is carried along: a line of nothing but tabs must not be measured anew at each.
    let mut column = 0;
    for chunk in line.utf8_chunks() {
        for (i, part) in chunk.valid().split('\t').enumerate() {
            if i > 0 {
                let fill = TAB - column % TAB;
                out.extend(std::iter::repeat_n(' ', fill));
                column += fill;
            }
            let part = clean(part, ascii);
            column += part.width();
            out.push_str(&part);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
            column += 4;
        }
    }
    out
}

/// Whether a typed character may stand in a field as it is.
#[must_use]
pub fn is_plain(c: char) -> bool {
    !c.is_control() && !is_hidden(c) && c.width().is_some_and(|w| w > 0)
}

fn push_clean(out: &mut String, c: char, ascii: bool, marks: usize) {
    match c {
        '\u{0}'..='\u{1f}' | '\u{7f}' => push_control(out, c, ascii),
        c if c.is_control() || is_hidden(c) || marks > MARKS_MAX => {
            let _ = write!(out, "<{:02x}>", u32::from(c));
        }
        c if ascii && !c.is_ascii() => out.push('?'),
        c => out.push(c),
    }
}

/// A control byte as its picture (`␛`), or in caret notation (`^[`).
fn push_control(out: &mut String, c: char, ascii: bool) {
    let byte = u32::from(c);
    if ascii {
        out.push('^');
        out.extend(char::from_u32(byte ^ 0x40));
    } else if byte == 0x7f {
        out.push('␡');
    } else {
        out.extend(char::from_u32(0x2400 + byte));
    }
}

fn is_mark(c: char) -> bool {
    c.width() == Some(0) && !c.is_control() && !is_hidden(c)
}

/// The text cut to `width` cells; a cut is marked.
#[must_use]
pub fn fit(text: &str, width: usize, ascii: bool) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mark = if ascii { '~' } else { '…' };
    let mut out = take_cells(text, width.saturating_sub(1));
    if width > 0 {
        out.push(mark);
    }
    out
}

/// The text cut or filled to exactly `width` cells.
#[must_use]
pub fn pad(text: &str, width: usize, ascii: bool) -> String {
    let mut out = fit(text, width, ascii);
    let fill = width.saturating_sub(out.width());
    out.extend(std::iter::repeat_n(' ', fill));
    out
}

/// The text without its first `cells` cells.
#[must_use]
pub fn skip_cells(text: &str, cells: usize) -> String {
    let mut used = 0;
    text.chars()
        .skip_while(|c| {
            used += c.width().unwrap_or(0);
            used <= cells
        })
        .collect()
}

fn take_cells(text: &str, cells: usize) -> String {
    let mut used = 0;
    let fitting = text.chars().take_while(|c| {
        used += c.width().unwrap_or(0);
        used <= cells
    });
    let mut out: String = fitting.collect();
    // A selector of the emoji form makes the character before it wider than both are alone.
    while out.width() > cells {
        out.pop();
    }
    out
}

/// The text broken at spaces into at most `lines` lines of `width` cells; what does not fit is marked as cut.
#[must_use]
pub fn wrap(text: &str, width: usize, lines: usize, ascii: bool) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() && out.len() < lines && width > 0 {
        if out.len() + 1 == lines || rest.width() <= width {
            out.push(fit(rest, width, ascii));
            break;
        }
        let cut = break_at(rest, width);
        out.push(rest[..cut].trim_end().to_owned());
        rest = rest[cut..].trim_start();
    }
    out
}

/// Byte index at which a line of `width` cells ends: after the last space that fits, else where the cells end.
fn break_at(text: &str, width: usize) -> usize {
    let hard = take_cells(text, width).len();
    let next_is_space = text[hard..].starts_with(' ');
    let soft = if next_is_space {
        Some(hard)
    } else {
        text[..hard].rfind(' ')
    };
    match soft {
        Some(at) if at > 0 => at,
        _ if hard > 0 => hard,
        _ => text.chars().next().map_or(text.len(), char::len_utf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_become_pictures() {
        assert_eq!(clean("a\u{1b}[2Jb\r\n\u{7f}\u{9b}1m", false), "a␛[2Jb␍␊␡<9b>1m");
        assert_eq!(clean("a\u{1b}[2Jé", true), "a^[[2J?");
        assert_eq!(clean_bytes(b"a\tb\xff\x1b]0;x\x07", false), "a       b\\xff␛]0;x␇");
    }

    #[test]
    fn direction_overrides_and_invisible_characters_show() {
        assert_eq!(clean("a\u{202e}b\u{200b}c\u{feff}", false), "a<202e>b<200b>c<feff>");
        assert_eq!(clean("e\u{301}", false), "e\u{301}", "a real accent stays");
        assert!(clean(&format!("z{}", "\u{301}".repeat(50)), false).contains("<301>"));
    }

    #[test]
    fn text_is_cut_and_filled_by_cells() {
        assert_eq!(fit("abcdef", 4, false), "abc…");
        assert_eq!(pad("日本語", 5, false), "日本…");
        assert_eq!(pad("日本語", 4, true), "日~ ");
        assert_eq!(wrap("one two three four", 9, 2, false), ["one two", "three fo…"]);
        assert_eq!(wrap("abcdefgh", 3, 9, false), ["abc", "def", "gh"]);
        assert_eq!(skip_cells("abc", 2), "c");
        assert_eq!(
            wrap("\u{1f56f}\u{fe0f}0ab", 2, 9, false),
            ["\u{1f56f}\u{fe0f}", "0a", "b"]
        );
    }

    proptest! {
        #[test]
        fn nothing_that_acts_on_a_terminal_survives(bytes in proptest::collection::vec(any::<u8>(), 0..200), ascii: bool) {
            let text = clean_bytes(&bytes, ascii);
            prop_assert!(!text.chars().any(|c| c.is_control() || is_hidden(c)));
            prop_assert!(!ascii || text.is_ascii());
        }

        #[test]
        fn wrapping_ends_and_fits(text in any::<String>(), width in 0_usize..20, lines in 0_usize..5) {
            let out = wrap(&text, width, lines, false);
            prop_assert!(out.len() <= lines);
            prop_assert!(out.iter().all(|line| line.width() <= width.max(2)));
        }
    }
}
