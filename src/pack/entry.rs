//! One thing of a student's tree: what a tar header and a line of a manifest say of it.

use std::fmt::Write;

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file with content.
    File,
    /// A directory.
    Directory,
    /// A link to a path, which may lead anywhere.
    Symlink,
    /// Another name of a file that came before; the link names it as the archive does.
    HardLink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A device of characters or blocks.
    Device,
}

impl Kind {
    /// The word of the manifest.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::HardLink => "hardlink",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Device => "device",
        }
    }

    /// The kind of a manifest's word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let all = [
            Self::File,
            Self::Directory,
            Self::Symlink,
            Self::HardLink,
            Self::Fifo,
            Self::Socket,
            Self::Device,
        ];
        all.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether it is work that is stored. Pipes, sockets and devices hold nothing that could be.
    #[must_use]
    pub fn is_kept(self) -> bool {
        !matches!(self, Self::Fifo | Self::Socket | Self::Device)
    }
}

/// A moment: seconds since 1970, which may be before it, and nanoseconds after that second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mtime {
    /// Whole seconds.
    pub seconds: i64,
    /// The rest, below one second.
    pub nanos: u32,
}

/// A file, directory or link with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path in the archive, bytes as the file system has them, no slash at either end.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Length of a file's content; 0 for everything else.
    pub size: u64,
    /// Permission bits, with set-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of the content.
    pub mtime: Mtime,
    /// Where a link leads; empty for everything else.
    pub link: Vec<u8>,
}

impl Entry {
    /// The bytes that stand for it in the digest of a content. Seconds alone: some engines do not tell the rest.
    #[must_use]
    pub fn canonical(&self, sha256: Option<&[u8; 32]>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128 + self.path.len() + self.link.len());
        bytes.push(self.kind as u8);
        for number in [
            self.size,
            u64::from(self.mode),
            u64::from(self.uid),
            u64::from(self.gid),
            self.mtime.seconds.cast_unsigned(),
            self.path.len() as u64,
            self.link.len() as u64,
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(&self.path);
        bytes.extend(&self.link);
        bytes.extend(sha256.into_iter().flatten());
        bytes
    }
}

/// A path for people: what is no UTF-8 or would move a cursor is escaped.
#[must_use]
pub fn shown(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || is_invisible(c) {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Characters that have no place of their own on a line, and can make one name look like another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_shown_as_text() {
        assert_eq!(shown("bài tập.txt".as_bytes()), "bài tập.txt");
        assert_eq!(shown(b"a\x1b[2J\n\xff"), "a\\u{1b}[2J\\n\\xff");
        assert_eq!(shown("x\u{202e}txt".as_bytes()), "x\\u{202e}txt");
    }

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        for word in ["file", "directory", "symlink", "hardlink", "fifo", "socket", "device"] {
            assert_eq!(Kind::of_word(word).map(Kind::word), Some(word));
        }
        assert_eq!(Kind::of_word("door"), None);
    }
}
