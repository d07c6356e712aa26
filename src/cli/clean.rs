//! Hostile text made harmless: control bytes become visible, so that a terminal shows them and obeys none.

use crate::domain::harmless::is_hidden;

/// The text with everything visible that a terminal would obey, line ends and tabulators left as they are.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The same for one cell of a table: line ends and tabulators become visible too.
#[must_use]
pub fn visible_line(text: &str) -> String {
    visible(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// JSON with everything escaped in its strings that a terminal would obey or hide.
#[must_use]
pub fn escaped(json: &str) -> String {
    use std::fmt::Write;
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if is_harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether a terminal might do something else with it than show it: C0 and C1 controls, and the marks that turn or
/// hide text around them.
fn is_harmful(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        other => other.is_control() || is_hidden(other),
    }
}

/// Cleans a stream of bytes piece by piece; a character that is cut by the end of a piece waits for the next one.
#[derive(Debug, Default)]
pub struct Cleaner {
    waiting: Vec<u8>,
}

impl Cleaner {
    /// The next piece, cleaned. Bytes that are not UTF-8 are shown as `\xNN`; `\r\n` becomes a plain line end.
    pub fn clean(&mut self, piece: &[u8]) -> String {
        self.waiting.extend_from_slice(piece);
        let bytes = std::mem::take(&mut self.waiting);
        let whole = bytes.len() - unfinished(&bytes);
        self.waiting.extend_from_slice(&bytes[whole..]);
        shown(&bytes[..whole])
    }

    /// What still waited when the stream ended.
    pub fn finish(self) -> String {
        shown(&self.waiting)
    }
}

fn shown(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&visible(&chunk.valid().replace("\r\n", "\n")));
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// How many bytes at the end may be the begin of a character or of a line end.
fn unfinished(bytes: &[u8]) -> usize {
    if bytes.last() == Some(&b'\r') {
        return 1;
    }
    let start = bytes.iter().rev().take(3).position(|byte| *byte >= 0xc0);
    let Some(length) = start.map(|back| back + 1) else {
        return 0;
    };
    let tail = &bytes[bytes.len() - length..];
    match std::str::from_utf8(tail) {
        Err(error) if error.error_len().is_none() => length,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn controls_are_shown_and_letters_kept() {
        assert_eq!(visible("a\u{1b}[2Jb\u{7}\u{9b}c"), "a\\u{1b}[2Jb\\u{7}\\u{9b}c");
        assert_eq!(visible("héllo 世界\n\tok"), "héllo 世界\n\tok");
        assert_eq!(visible("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
        assert_eq!(visible_line("a\nb\tc\r"), "a\\nb\\tc\\r");
    }

    #[test]
    fn json_keeps_its_meaning_and_loses_its_teeth() {
        let text = "a\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{e0041}世\n";
        let json = escaped(&serde_json::to_string_pretty(&[text]).unwrap());
        assert!(!json.chars().any(is_harmful), "{json:?}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [text]);
    }

    #[test]
    fn a_stream_shows_bytes_that_are_no_text() {
        let mut cleaner = Cleaner::default();
        assert_eq!(cleaner.clean(b"ok\r"), "ok");
        assert_eq!(cleaner.clean(b"\nh\xc3"), "\nh");
        assert_eq!(cleaner.clean(b"\xa9\xff!"), "é\\xff!");
        assert_eq!(cleaner.clean(b"\xe4\xb8"), "");
        assert_eq!(cleaner.finish(), "\\xe4\\xb8");
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing_and_no_control_gets_through(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x1b), Just(0xc3), Just(0xa9), Just(b'\r')], 0..60),
            cut in 0_usize..60,
        ) {
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut cleaner = Cleaner::default();
            let mut pieces = cleaner.clean(first) + &cleaner.clean(second);
            pieces += &cleaner.finish();
            prop_assert!(!pieces.chars().any(is_harmful));
            prop_assert_eq!(pieces, shown(&bytes));
        }
    }
}
