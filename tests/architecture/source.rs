//! One source file as the rules see it: without comments, texts and test modules.

use std::collections::BTreeSet;

/// Types that have paths below them and are no crates.
const PRIMITIVES: [&str; 16] = [
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "isize", "str", "u8", "u16", "u32", "u64", "u128", "usize",
];

/// A file below `src/`.
pub struct Source {
    /// Its path below `src/`, such as `world/docker/events.rs`.
    pub path: String,
    /// All of it.
    pub text: String,
    /// Its tokens outside of comments, texts and `#[cfg(test)]` modules: words, `::`, and single characters.
    tokens: Vec<String>,
    /// Every path of every `use`, groups spelled out.
    used: Vec<String>,
    /// The words that a `use` or a `mod` of this file brings in, so that they stand for no crate.
    imported: BTreeSet<String>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        let bare = if is_test { String::new() } else { bare(text) };
        let tokens = without_tests(tokens(&bare));
        let used = used(&tokens);
        let by_use = used
            .iter()
            .filter_map(|path| path.trim_end_matches("::self").rsplit_once("::"));
        let by_mod = tokens.windows(2).filter(|pair| pair[0] == "mod");
        let imported = by_use
            .map(|(_, name)| name.to_owned())
            .chain(by_mod.map(|pair| pair[1].clone()))
            .collect();
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
            used,
            imported,
        }
    }

    /// Whether the file is `prefix.rs` or lies in the folder `prefix`.
    pub fn is_in(&self, prefix: &str) -> bool {
        let rest = self.path.strip_prefix(prefix);
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    pub fn complain(&self, what: &str) -> String {
        format!("src/{}: {what}", self.path)
    }

    pub fn has_word(&self, word: &str) -> bool {
        self.tokens.iter().any(|token| token == word)
    }

    /// Whether the path is written out, in one piece or through a `use` group.
    pub fn names(&self, path: &str) -> bool {
        let wanted = tokens(path);
        let written = self.tokens.windows(wanted.len()).any(|window| window == wanted);
        written || self.used.iter().any(|used| used.starts_with(path))
    }

    /// Everything of this crate that is named, without the `crate::`; `super::` is followed to its place.
    pub fn crate_paths(&self) -> BTreeSet<String> {
        let mut paths: BTreeSet<String> = self.used.iter().filter_map(|path| self.absolute(path)).collect();
        for (at, token) in self.tokens.iter().enumerate() {
            if matches!(token.as_str(), "crate" | "super" | "labtop") && !self.follows_path(at) {
                paths.extend(self.absolute(&self.path_at(at)));
            }
        }
        // `use crate::{…}` reads as the bare `crate`; the group's paths are there by themselves.
        paths.remove("");
        paths
    }

    /// The first words of all paths that do not begin in this file: crates, and `std`, `crate`, `self`, `super`.
    pub fn external_roots(&self) -> BTreeSet<String> {
        let mut roots: BTreeSet<String> = BTreeSet::new();
        for path in &self.used {
            let root = path.split("::").next().unwrap_or_default();
            if !self.imported.contains(root) {
                roots.insert(root.to_owned());
            }
        }
        for (at, token) in self.tokens.iter().enumerate() {
            // A name before `::<` is a function with its types written out.
            let leads = self.tokens.get(at + 1).is_some_and(|next| next == "::")
                && self.tokens.get(at + 2).is_some_and(|next| next != "<");
            let is_lower = token.starts_with(|c: char| c.is_ascii_lowercase());
            let is_known = PRIMITIVES.contains(&token.as_str()) || self.imported.contains(token);
            if leads && is_lower && !self.follows_path(at) && !is_known {
                roots.insert(token.clone());
            }
        }
        roots
    }

    fn absolute(&self, path: &str) -> Option<String> {
        let mut here: Vec<&str> = self.path.trim_end_matches(".rs").split('/').collect();
        if here.last() == Some(&"mod") {
            here.pop();
        }
        let mut parts = path.split("::").peekable();
        match parts.peek().copied() {
            Some("crate" | "labtop") => here.clear(),
            Some("super") => {}
            _ => return None,
        }
        for part in parts {
            match part {
                "crate" | "labtop" => {}
                "super" => {
                    here.pop();
                }
                other => here.push(other),
            }
        }
        Some(here.join("::"))
    }

    fn follows_path(&self, at: usize) -> bool {
        at > 0 && self.tokens[at - 1] == "::"
    }

    /// The path that begins at a token, up to the first thing that is no name.
    fn path_at(&self, at: usize) -> String {
        let mut path = self.tokens[at].clone();
        for pair in self.tokens[at + 1..].chunks(2) {
            match pair {
                [colons, name] if colons == "::" && is_word(name) => {
                    path.push_str("::");
                    path.push_str(name);
                }
                _ => break,
            }
        }
        path
    }
}

fn used(tokens: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        // `use<…>` is a bound, not an import.
        if tokens[at] == "use" && tokens.get(at + 1).is_none_or(|next| next != "<") {
            at += 1;
            use_tree(tokens, "", &mut at, &mut found);
        }
        at += 1;
    }
    found
}

fn use_tree(tokens: &[String], prefix: &str, at: &mut usize, found: &mut Vec<String>) {
    let mut path = prefix.to_owned();
    while let Some(token) = tokens.get(*at) {
        match token.as_str() {
            "::" if path.is_empty() => {}
            "as" => *at += 1,
            "{" => return use_group(tokens, &path, at, found),
            "," | "}" | ";" => break,
            word => path.push_str(word),
        }
        *at += 1;
    }
    found.push(path);
}

fn use_group(tokens: &[String], prefix: &str, at: &mut usize, found: &mut Vec<String>) {
    *at += 1;
    while tokens.get(*at).is_some_and(|token| token != "}") {
        use_tree(tokens, prefix, at, found);
        if tokens.get(*at).is_some_and(|token| token == ",") {
            *at += 1;
        }
    }
    *at += 1;
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if is_word(rest) {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            tokens.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

/// Leaves out every `#[cfg(test)] mod … { … }`.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    const MARK: [&str; 8] = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].iter().take(MARK.len()).eq(MARK.iter()) {
            at = end_of_block(&tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn end_of_block(tokens: &[String], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => return at + 1,
            "}" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The text with every comment, string and character replaced by a space.
fn bare(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| string(rest, &out)).or_else(|| character(rest));
        if let Some(length) = skipped {
            out.push(' ');
            rest = &rest[length..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let mut depth = 0;
    for (at, _) in text.char_indices() {
        if text[at..].starts_with("/*") {
            depth += 1;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            if depth == 0 {
                return Some(at + 2);
            }
        }
    }
    Some(text.len())
}

fn string(text: &str, before: &str) -> Option<usize> {
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if !in_word && text.starts_with(['r', 'b', 'c']) {
        let raw = text.trim_start_matches(['b', 'c']).strip_prefix('r');
        if let Some(raw) = raw {
            let hashes = raw.len() - raw.trim_start_matches('#').len();
            if raw[hashes..].starts_with('"') {
                let close = format!("\"{}", "#".repeat(hashes));
                let begin = text.len() - raw.len() + hashes + 1;
                return Some(
                    text[begin..]
                        .find(&close)
                        .map_or(text.len(), |at| begin + at + close.len()),
                );
            }
        }
    }
    let body = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            '"' if !escaped => return Some(at + 2),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Some(text.len())
}

/// A character in quotes; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    let first = body.chars().next()?;
    if first == '\\' {
        return body[2..].find('\'').map(|at| at + 4);
    }
    body[first.len_utf8()..].starts_with('\'').then(|| first.len_utf8() + 2)
}
