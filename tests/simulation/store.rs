//! The model of an archive store that may lie. Knows objects; must not know whose they are.

use std::collections::BTreeMap;

use labtop::domain::proof::{Content, Readback, Stored};

use crate::rng::Rng;

/// What an object really holds: the first `writes` writes of workspace `uid`, whole or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object {
    pub uid: u64,
    pub writes: u64,
    pub altered: bool,
}

impl Object {
    pub fn digest(&self) -> String {
        let mark = if self.altered { "x" } else { "" };
        format!("{}:{}{mark}", self.uid, self.writes)
    }

    pub fn readback(&self) -> Readback {
        let stored = Stored {
            bytes: self.writes,
            digest: self.digest(),
        };
        Readback {
            content: Some(Content {
                bytes: stored.bytes,
                digest: stored.digest.clone(),
                elsewhere_digest: None,
            }),
            workspace: stored,
            manifest: Stored::default(),
            log: None,
        }
    }
}

#[derive(Debug, Default)]
pub struct Store {
    pub objects: BTreeMap<String, Object>,
}

impl Store {
    /// Takes an object and says it is well; when it lies, it is not.
    pub fn put(&mut self, key: &str, mut object: Object, lie: Option<&mut Rng>) {
        if let Some(rng) = lie {
            match rng.below(3) {
                0 => return,
                1 => object.altered = true,
                _ => object.writes = object.writes.saturating_sub(1 + rng.below(3)),
            }
        }
        self.objects.insert(key.to_owned(), object);
    }

    /// Whether all of a workspace's writes are in the object of that key, unaltered.
    pub fn holds(&self, key: &str, uid: u64, writes: u64) -> bool {
        self.objects
            .get(key)
            .is_some_and(|o| o.uid == uid && o.writes >= writes && !o.altered)
    }
}
