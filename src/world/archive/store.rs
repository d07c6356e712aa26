//! The stores, one of which an agent has: all do the same with objects.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::Space;
use super::directory::Directory;
use super::object::{Object, Stop};
use super::s3::S3;
use crate::domain::fault::Fault;
use crate::domain::settings::S3Settings;

/// Where objects go.
#[derive(Debug, Clone)]
pub enum Store {
    /// Files below a directory of this host.
    Directory(Directory),
    /// Objects in a bucket.
    S3(S3),
}

impl Store {
    /// A store of files below `root`, which is made when it is first needed.
    #[must_use]
    pub fn directory(root: PathBuf) -> Self {
        Self::Directory(Directory::new(root))
    }

    /// A store in a bucket; notes of unfinished uploads are kept in `scratch`.
    ///
    /// # Errors
    /// [`FaultCode::Store`](crate::domain::fault::FaultCode::Store) when the keys cannot be read, or the settings make no
    /// address.
    pub fn s3(settings: &S3Settings, scratch: &Path) -> Result<Self, Fault> {
        S3::new(settings, scratch).map(Self::S3)
    }

    /// Runs `work` on a thread of its own. What it writes becomes the object at `key` only if it succeeds, and is stored
    /// when this returns. When it fails, or the future is dropped, nothing is left at the key.
    ///
    /// # Errors
    /// The work's own fault; [`FaultCode::Store`](crate::domain::fault::FaultCode::Store) when the object cannot be
    /// written, or something is at the key already.
    pub async fn write<T, F>(&self, key: &str, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Write) -> Result<T, Stop> + Send + 'static,
    {
        match self {
            Self::Directory(store) => store.write(key, work).await,
            Self::S3(store) => store.write(key, work).await,
        }
    }

    /// Runs `work` on a thread of its own over the bytes of an object; none when there is no such object.
    ///
    /// # Errors
    /// The work's own fault; [`FaultCode::Store`](crate::domain::fault::FaultCode::Store) when the object cannot be
    /// read, whatever the work made of that.
    pub async fn read<T, F>(&self, key: &str, work: F) -> Result<Option<T>, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Read) -> Result<T, Stop> + Send + 'static,
    {
        match self {
            Self::Directory(store) => store.read(key, work).await,
            Self::S3(store) => store.read(key, work).await,
        }
    }

    /// The length of an object; none when there is no such object.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn length(&self, key: &str) -> Result<Option<u64>, Fault> {
        match self {
            Self::Directory(store) => store.length(key).await,
            Self::S3(store) => store.length(key).await,
        }
    }

    /// All objects whose keys begin with `prefix`, in the order of keys.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>, Fault> {
        match self {
            Self::Directory(store) => store.list(prefix).await,
            Self::S3(store) => store.list(prefix).await,
        }
    }

    /// Removes an object. One that is gone already is fine.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove(&self, key: &str) -> Result<(), Fault> {
        match self {
            Self::Directory(store) => store.remove(key).await,
            Self::S3(store) => store.remove(key).await,
        }
    }

    /// Writes and removes a small object, and tells how much room there is where that can be known.
    ///
    /// # Errors
    /// [`FaultCode::Store`](crate::domain::fault::FaultCode::Store) when the store cannot be written.
    pub async fn check(&self) -> Result<Option<Space>, Fault> {
        match self {
            Self::Directory(store) => store.check().await.map(Some),
            Self::S3(store) => store.check().await.map(|()| None),
        }
    }

    /// Removes what an agent that was killed left half-written, and tells how many objects that were.
    pub async fn sweep(&self, now_unix_ms: u64) -> usize {
        match self {
            Self::Directory(store) => store.sweep().await,
            Self::S3(store) => store.sweep(now_unix_ms).await,
        }
    }
}
