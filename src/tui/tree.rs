//! What is in an archive, as a tree: made of its manifest line by line, within bounds. Pure.
//!
//! Knows: manifests. Must not know: where they come from, or how they are drawn. Names are bytes that nobody has cleaned.

use std::collections::HashMap;
use std::io::{self, BufRead};

use crate::pack::entry::{Kind, shown};
use crate::pack::manifest::{Line, Reader};

/// Things that are listed; the rest is left out, and that is said. A student can make millions.
const NODES_MAX: usize = 200_000;
/// Bytes of names, links and reasons that are kept, for the same reason.
const BYTES_MAX: usize = 32 << 20;

/// The root, which has no name.
pub const ROOT: usize = 0;

/// What an archive holds.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Whether there is more than is listed.
    pub cut: bool,
}

/// One file, directory or link.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// The last part of its path.
    pub name: Vec<u8>,
    /// What it is; none when that is not known.
    pub kind: Option<Kind>,
    /// Bytes of its content, or of everything below it.
    pub size: u64,
    /// Permission bits, octal.
    pub mode: String,
    /// Where a link leads.
    pub link: Vec<u8>,
    /// Whether it changed while it was read.
    pub torn: bool,
    /// Why it is not stored; none when it is.
    pub left_out: Option<String>,
    /// The directory that it is in.
    pub parent: usize,
    /// What is in it: directories first, then by name.
    pub children: Vec<usize>,
}

impl Node {
    /// Whether there is a level below it.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.kind == Some(Kind::Directory) || !self.children.is_empty()
    }
}

impl Tree {
    /// Reads a manifest.
    ///
    /// # Errors
    /// When it is damaged, or `manifest` fails.
    pub fn read(manifest: impl BufRead) -> io::Result<Self> {
        let mut lines = Reader::new(manifest)?;
        let mut growing = Growing::new();
        while let Some(line) = lines.next_line()? {
            if !growing.add(&line) {
                growing.tree.cut = true;
                break;
            }
        }
        Ok(growing.finish())
    }

    /// A thing by its number.
    #[must_use]
    pub fn node(&self, at: usize) -> Option<&Node> {
        self.nodes.get(at)
    }

    /// What is in a directory.
    #[must_use]
    pub fn children(&self, directory: usize) -> &[usize] {
        self.node(directory).map_or(&[], |node| &node.children)
    }

    /// The path's bytes, as the archive has them.
    #[must_use]
    pub fn path(&self, at: usize) -> Vec<u8> {
        let mut parts = Vec::new();
        let mut next = at;
        while let Some(node) = self.node(next).filter(|_| next != ROOT) {
            parts.push(node.name.as_slice());
            next = node.parent;
        }
        parts.reverse();
        parts.join(&b'/')
    }

    /// The name by which the content of a file is asked for; none when it has none that is stored. Of a further name it
    /// is that of the file itself.
    #[must_use]
    pub fn content(&self, at: usize) -> Option<String> {
        let node = self.node(at).filter(|node| node.left_out.is_none())?;
        match node.kind? {
            Kind::File => Some(shown(&self.path(at))),
            Kind::HardLink => Some(shown(&node.link)),
            _ => None,
        }
    }
}

/// A tree that is being made.
struct Growing {
    tree: Tree,
    by_name: HashMap<(usize, Vec<u8>), usize>,
    bytes: usize,
}

impl Growing {
    fn new() -> Self {
        let root = Node {
            kind: Some(Kind::Directory),
            ..Node::default()
        };
        Self {
            tree: Tree {
                nodes: vec![root],
                cut: false,
            },
            by_name: HashMap::new(),
            bytes: 0,
        }
    }

    /// Adds what a line tells of, and the directories above it that no line told of. False when the bounds are reached.
    fn add(&mut self, line: &Line) -> bool {
        let path = line.path_bytes();
        let link = line.link_bytes();
        let reason = line.left_out.as_deref().unwrap_or_default();
        self.bytes += link.len() + reason.len();
        let mut at = ROOT;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            match self.step(at, name) {
                Some(next) => at = next,
                None => return false,
            }
        }
        if at == ROOT {
            return true;
        }
        let node = &mut self.tree.nodes[at];
        node.kind = line.kind.as_deref().and_then(Kind::of_word);
        node.size = line.size;
        node.mode.clone_from(&line.mode);
        node.torn = line.torn;
        node.left_out.clone_from(&line.left_out);
        node.link = link;
        true
    }

    fn step(&mut self, parent: usize, name: &[u8]) -> Option<usize> {
        let key = (parent, name.to_vec());
        if let Some(found) = self.by_name.get(&key) {
            return Some(*found);
        }
        // Each name is kept twice: in the tree, and to be found by.
        self.bytes += 2 * name.len();
        let at = self.tree.nodes.len();
        if at >= NODES_MAX || self.bytes > BYTES_MAX {
            return None;
        }
        self.tree.nodes.push(Node {
            name: name.to_vec(),
            parent,
            kind: Some(Kind::Directory),
            ..Node::default()
        });
        self.tree.nodes[parent].children.push(at);
        self.by_name.insert(key, at);
        Some(at)
    }

    /// Sums up and puts in order. What is in a directory comes after it, so that one way back through all is enough.
    fn finish(self) -> Tree {
        let mut tree = self.tree;
        for at in (1..tree.nodes.len()).rev() {
            let node = &tree.nodes[at];
            let (size, parent) = (if node.left_out.is_none() { node.size } else { 0 }, node.parent);
            let above = &mut tree.nodes[parent];
            above.size = above.size.saturating_add(size);
        }
        for at in 0..tree.nodes.len() {
            let mut children = std::mem::take(&mut tree.nodes[at].children);
            let order = |child: &usize| {
                let node = &tree.nodes[*child];
                (!node.is_directory(), &node.name)
            };
            children.sort_by(|a, b| order(a).cmp(&order(b)));
            tree.nodes[at].children = children;
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"labtop_manifest":1,"id":"20261124T034512Z-7f3a9c1b","instance":"6f1b7a52-0000-4000-8000-000000000000","seat":"a/an","session":1,"epoch":1,"created_unix_ms":5,"workspace":{"bytes":1,"digest":"d"},"log":null,"content_bytes":1,"content_digest":"c","elsewhere_digest":null,"stored_entries":1,"left_out":0,"torn":0,"selection":{"paths":[],"include":[],"exclude":[]},"entries":["#;

    fn tree(lines: &[String]) -> io::Result<Tree> {
        let mut text = format!("{HEAD}\n");
        text.push_str(&lines.join(",\n"));
        text.push_str("\n]}\n");
        Tree::read(text.as_bytes())
    }

    fn file(path: &str, size: u64) -> String {
        format!(r#"{{"path":"{path}","type":"file","size":{size}}}"#)
    }

    fn names(tree: &Tree, directory: usize) -> Vec<String> {
        let children = tree.children(directory).iter();
        children.map(|child| shown(&tree.node(*child).unwrap().name)).collect()
    }

    #[test]
    fn directories_that_no_line_tells_of_are_made_and_sum_up() {
        let left_out = r#"{"path":"a/big","type":"file","size":9000,"left_out":"too big"}"#.to_owned();
        let tree = tree(&[file("a/b/two", 2), file("z", 1), file("a/five", 5), left_out]).unwrap();
        assert_eq!(names(&tree, ROOT), ["a", "z"]);
        let a = tree.children(ROOT)[0];
        assert_eq!(names(&tree, a), ["b", "big", "five"], "directories first");
        assert_eq!(tree.node(a).unwrap().size, 7, "of what is stored");
        assert_eq!(tree.path(tree.children(a)[2]), b"a/five");
        assert_eq!(tree.content(tree.children(a)[2]).as_deref(), Some("a/five"));
        assert_eq!(tree.content(tree.children(a)[1]), None);
    }

    #[test]
    fn millions_of_names_are_cut_and_a_damaged_manifest_is_none() {
        let many: Vec<String> = (0..=NODES_MAX).map(|n| file(&format!("{n:x}"), 1)).collect();
        let cut = tree(&many).unwrap();
        assert!(cut.cut && cut.nodes.len() == NODES_MAX);
        let long = "d/".repeat(8_000);
        let deep: Vec<String> = (0..40).map(|n| file(&format!("{n}{long}x"), 1)).collect();
        assert!(tree(&deep).unwrap().cut, "a few paths can have as many parts");
        assert!(tree(&["{".to_owned()]).is_err());
        assert!(Tree::read(HEAD.as_bytes()).is_err());
    }
}
