//! A line of text that a person types: bounded, and without characters that hide or act.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use tui_input::backend::crossterm::EventHandler;
use tui_input::{Input, InputRequest};

use super::text::is_plain;

/// A text field.
#[derive(Debug, Clone, Default)]
pub struct Field {
    input: Input,
    max: usize,
}

impl Field {
    /// A field for at most `max` characters, with a text to begin with.
    #[must_use]
    pub fn new(value: &str, max: usize) -> Self {
        Self {
            input: Input::new(value.to_owned()),
            max,
        }
    }

    /// What was typed, without spaces around it.
    #[must_use]
    pub fn value(&self) -> &str {
        self.input.value().trim()
    }

    /// What was typed, as it stands there.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.input.value()
    }

    /// Cells left of the shown part, and the cursor's cell within it, for a field of `width` cells.
    #[must_use]
    pub fn scroll(&self, width: usize) -> (usize, usize) {
        let start = self.input.visual_scroll(width);
        (start, self.input.visual_cursor().saturating_sub(start))
    }

    /// Takes a key; characters that hide or act, and those over the bound, are left out.
    pub fn key(&mut self, key: KeyEvent) {
        let typed = !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        match key.code {
            KeyCode::Char(c) if typed => self.insert(c),
            _ => {
                self.input.handle_event(&Event::Key(key));
            }
        }
    }

    /// Takes pasted text; line ends become commas, because lists are pasted as columns.
    pub fn paste(&mut self, text: &str) {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.join(",").chars().for_each(|c| self.insert(c));
    }

    fn insert(&mut self, c: char) {
        if is_plain(c) && self.input.value().chars().count() < self.max {
            self.input.handle(InputRequest::InsertChar(c));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_columns_become_lists_and_hidden_characters_stay_out() {
        let mut field = Field::new("", 12);
        field.paste("an\u{202e}\r\nbo\u{1b}[2J\n\n");
        assert_eq!(field.value(), "an,bo[2J");
        field.paste("0123456789");
        assert_eq!(field.value(), "an,bo[2J0123");
    }
}
