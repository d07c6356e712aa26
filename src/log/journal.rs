//! Lines for the journal of a service manager, which keeps the time and the rotation itself.

use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::fmt::MakeWriter;

/// Whether standard error goes to the journal: the service manager says which stream it made.
pub fn is_there() -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    is_stream(&named)
}

fn is_stream(named: &str) -> bool {
    let Ok(found) = rustix::fs::fstat(std::io::stderr()) else {
        return false;
    };
    named == format!("{}:{}", found.st_dev, found.st_ino)
}

/// Writes each line with its priority in front, as the journal reads it.
pub struct Journal(pub NonBlocking);

/// One line on its way.
pub struct Line {
    to: NonBlocking,
    priority: u8,
}

impl<'a> MakeWriter<'a> for Journal {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        self.line(Level::INFO)
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Line {
        self.line(*about.level())
    }
}

impl Journal {
    fn line(&self, level: Level) -> Line {
        Line {
            to: self.0.clone(),
            priority: priority(level),
        }
    }
}

/// The priority of syslog.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut whole = format!("<{}>", self.priority).into_bytes();
        whole.extend_from_slice(line);
        self.to.write_all(&whole)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_that_is_named_is_the_journal() {
        let own = rustix::fs::fstat(std::io::stderr()).unwrap();
        assert!(is_stream(&format!("{}:{}", own.st_dev, own.st_ino)));
        assert!(!is_stream("") && !is_stream(&format!("{}:{}", own.st_dev, own.st_ino + 1)));
    }
}
