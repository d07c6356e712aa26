//! Walking through an archive's tree, one directory at a time. Pure.

use std::sync::Arc;

use crate::pack::entry::{Kind, shown};

use super::listing::Asked;
use super::port::{Kept, StreamId};
use super::tree::{Node, ROOT, Tree};

/// An open tree.
#[derive(Debug)]
pub struct Browse {
    /// Its number on this board.
    pub stream: StreamId,
    /// Whose.
    pub archive: Kept,
    /// When it was taken, for people.
    pub created: String,
    /// How it stands with the answer.
    pub asked: Asked,
    /// The row under the cursor.
    pub at: usize,
    /// The first row shown.
    pub top: usize,
    tree: Arc<Tree>,
    directory: usize,
}

/// What comes of Enter.
#[derive(Debug, PartialEq, Eq)]
pub enum Entered {
    /// The cursor is in the directory now, or nothing was there.
    Moved,
    /// A file is to be shown: its name in the archive, and its size.
    File(String, u64),
    /// There is nothing to show, and why.
    Nothing(String),
}

impl Browse {
    /// A tree of which nothing came yet.
    #[must_use]
    pub fn new(stream: StreamId, archive: Kept, created: String) -> Self {
        Self {
            stream,
            archive,
            created,
            asked: Asked::Waiting,
            at: 0,
            top: 0,
            tree: Arc::default(),
            directory: ROOT,
        }
    }

    /// Takes the answer.
    pub fn take(&mut self, tree: Result<Arc<Tree>, String>) {
        self.asked = match tree {
            Ok(tree) => {
                self.tree = tree;
                Asked::Here
            }
            Err(why) => Asked::Failed(why),
        };
    }

    /// How many things are in the directory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tree.children(self.directory).len()
    }

    /// The thing of a row.
    #[must_use]
    pub fn row(&self, at: usize) -> Option<&Node> {
        self.tree.node(*self.tree.children(self.directory).get(at)?)
    }

    /// The directory's path, harmless to show.
    #[must_use]
    pub fn place(&self) -> String {
        format!("/{}", shown(&self.tree.path(self.directory)))
    }

    /// Whether the archive has more than is listed.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.tree.cut
    }

    /// Puts the cursor on a row, or the nearest there is.
    pub fn go(&mut self, at: usize) {
        self.at = at.min(self.len().saturating_sub(1));
    }

    /// To the directory above; the cursor is on where it came from. False at the top.
    pub fn up(&mut self) -> bool {
        if self.directory == ROOT {
            return false;
        }
        let from = self.directory;
        self.directory = self.tree.node(from).map_or(ROOT, |node| node.parent);
        let came = self
            .tree
            .children(self.directory)
            .iter()
            .position(|child| *child == from);
        (self.at, self.top) = (came.unwrap_or(0), 0);
        true
    }

    /// Into the directory under the cursor, or to the file.
    pub fn enter(&mut self) -> Entered {
        let Some(at) = self.tree.children(self.directory).get(self.at).copied() else {
            return Entered::Moved;
        };
        let Some(node) = self.tree.node(at) else {
            return Entered::Moved;
        };
        if node.is_directory() && (node.left_out.is_none() || !node.children.is_empty()) {
            (self.directory, self.at, self.top) = (at, 0, 0);
            return Entered::Moved;
        }
        match self.tree.content(at) {
            Some(path) => Entered::File(path, node.size),
            None => Entered::Nothing(nothing(node)),
        }
    }
}

/// Why a thing has no content to show.
fn nothing(node: &Node) -> String {
    let name = shown(&node.name);
    match (&node.left_out, node.kind) {
        (Some(why), _) => format!("{name} is not stored: {why}"),
        (None, Some(Kind::Symlink)) => format!("{name} is a link to {}", shown(&node.link)),
        (None, kind) => format!(
            "{name} has no text: it is a {}",
            kind.map_or("thing of no known kind", Kind::word)
        ),
    }
}
