//! Colours, and what stands for them where there are none.
//!
//! Only colours of the terminal's own palette are used, and no backgrounds, so the board follows the person's own
//! theme, dark or light. Nothing is told by colour alone.

use ratatui::style::{Color, Modifier, Style};

use crate::domain::notice::Level;
use crate::domain::snapshot::Phase;

/// How the board may draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Only ASCII on the screen.
    pub ascii: bool,
    /// For slow lines: no sparklines, few draws.
    pub slow: bool,
    /// Colours are welcome (`NO_COLOR` is not set).
    pub color: bool,
}

impl Look {
    /// Plain text: every symbol, no colour.
    pub const PLAIN: Self = Self {
        ascii: false,
        slow: false,
        color: false,
    };

    fn tint(self, color: Color) -> Style {
        if self.color {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }

    /// Things that are there but do not matter now.
    #[must_use]
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Names and titles.
    #[must_use]
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Keys in the footer, the focused field.
    #[must_use]
    pub fn accent(self) -> Style {
        self.tint(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// It works.
    #[must_use]
    pub fn good(self) -> Style {
        self.tint(Color::Green)
    }

    /// Somebody should look.
    #[must_use]
    pub fn warn(self) -> Style {
        self.tint(Color::Yellow)
    }

    /// It failed, or it destroys.
    #[must_use]
    pub fn bad(self) -> Style {
        self.tint(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// The text field in focus: a line to write on.
    #[must_use]
    pub fn writing(self) -> Style {
        Style::new().add_modifier(Modifier::UNDERLINED)
    }

    /// The seat under the cursor, the button in focus.
    #[must_use]
    pub fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// A phase's word.
    #[must_use]
    pub fn phase(self, phase: Phase) -> Style {
        match phase {
            Phase::Ready => self.tint(Color::Green),
            Phase::Wanted | Phase::Creating | Phase::Starting => self.tint(Color::Cyan),
            Phase::Frozen => self.tint(Color::Blue),
            Phase::Closing | Phase::Archiving | Phase::Verified | Phase::Removing => self.tint(Color::Magenta),
            Phase::Stopped => self.tint(Color::Yellow),
            Phase::Gone => self.dim(),
            Phase::Failed => self.bad(),
        }
    }

    /// A figure that is `share` (0 to 1) of its limit.
    #[must_use]
    pub fn load(self, share: f64) -> Style {
        match share {
            s if s >= 0.9 => self.bad(),
            s if s >= 0.75 => self.warn(),
            _ => Style::new(),
        }
    }

    /// A notice's word.
    #[must_use]
    pub fn level(self, level: Level) -> Style {
        match level {
            Level::Info => self.dim(),
            Level::Warning => self.warn(),
            Level::Incident | Level::Error => self.bad(),
        }
    }

    /// One of two spellings: with symbols, or in ASCII.
    #[must_use]
    pub fn pick<T>(self, symbols: T, ascii: T) -> T {
        if self.ascii { ascii } else { symbols }
    }
}
