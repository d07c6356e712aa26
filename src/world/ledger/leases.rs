//! Names that somebody holds for a while, in the ledger: the lease store of an agent alone.
//!
//! Knows: names, tokens, ends. Must not know: whose they are, or what time it is.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::apply::number;
use super::writer::Pending;
use super::{Ledger, trouble};
use crate::domain::fault::Fault;
use crate::world::leases::{Lease, Strikes, Wish};

/// Something done to names; answered for each, in order.
#[derive(Debug)]
pub(super) enum Deed {
    Claim(Vec<Wish>),
    Extend(Vec<Wish>),
    Release(Vec<(String, String)>),
    Strike(String, Duration),
    Absolve(String),
}

impl Ledger {
    /// Takes names that nobody holds at that moment.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when it could not be written; then none was taken.
    pub async fn claim_leases(&self, wishes: Vec<Wish>, unix_ms: u64) -> Result<Vec<bool>, Fault> {
        self.lease(Deed::Claim(wishes), unix_ms).await
    }

    /// Sets anew how long names are held, for whoever holds them.
    ///
    /// # Errors
    /// As [`Ledger::claim_leases`].
    pub async fn extend_leases(&self, wishes: Vec<Wish>, unix_ms: u64) -> Result<Vec<bool>, Fault> {
        self.lease(Deed::Extend(wishes), unix_ms).await
    }

    /// Gives names (name, token) up, for whoever holds them.
    ///
    /// # Errors
    /// As [`Ledger::claim_leases`].
    pub async fn release_leases(&self, held: Vec<(String, String)>, unix_ms: u64) -> Result<Vec<bool>, Fault> {
        self.lease(Deed::Release(held), unix_ms).await
    }

    /// The names that are held at that moment.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when the file cannot be read.
    pub async fn leases(&self, unix_ms: u64) -> Result<Vec<Lease>, Fault> {
        self.read(move |db| list(db, unix_ms)).await
    }

    /// Counts one strike more against a name.
    ///
    /// # Errors
    /// As [`Ledger::claim_leases`].
    pub async fn strike(&self, name: String, window: Duration, unix_ms: u64) -> Result<Strikes, Fault> {
        self.lease(Deed::Strike(name.clone(), window), unix_ms).await?;
        self.strikes(name, unix_ms).await
    }

    /// The strikes against a name at that moment.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when the file cannot be read.
    pub async fn strikes(&self, name: String, unix_ms: u64) -> Result<Strikes, Fault> {
        self.read(move |db| strikes(db, &name, unix_ms)).await
    }

    /// Forgets the strikes against a name.
    ///
    /// # Errors
    /// As [`Ledger::claim_leases`].
    pub async fn absolve(&self, name: String, unix_ms: u64) -> Result<Vec<bool>, Fault> {
        self.lease(Deed::Absolve(name), unix_ms).await
    }

    async fn lease(&self, deed: Deed, unix_ms: u64) -> Result<Vec<bool>, Fault> {
        let (reply, done) = oneshot::channel();
        let _ = self.queue.send(Pending::Lease { deed, unix_ms, reply }).await;
        done.await.map_err(|_| trouble::closed(&self.path))?
    }
}

/// Does a deed, all or nothing.
pub(super) fn perform(db: &mut Connection, deed: &Deed, unix_ms: u64) -> rusqlite::Result<Vec<bool>> {
    let now = number(unix_ms)?;
    let tx = db.transaction()?;
    for table in ["leases", "strikes"] {
        tx.execute(&format!("DELETE FROM {table} WHERE ends_unix_ms <= ?1"), [now])?;
    }
    let done: rusqlite::Result<Vec<bool>> = match deed {
        Deed::Claim(wishes) => wishes.iter().map(|wish| claim(&tx, wish, unix_ms)).collect(),
        Deed::Extend(wishes) => wishes.iter().map(|wish| extend(&tx, wish, unix_ms)).collect(),
        Deed::Release(held) => held
            .iter()
            .map(|(name, token)| release(&tx, name, token, now))
            .collect(),
        Deed::Strike(name, window) => strike(&tx, name, *window, unix_ms).map(|()| vec![true]),
        Deed::Absolve(name) => {
            let sql = "DELETE FROM strikes WHERE name = ?1";
            tx.execute(sql, [name]).map(|gone| vec![gone == 1])
        }
    };
    let done = done?;
    tx.commit()?;
    Ok(done)
}

/// The while begins with the first strike; those of an earlier one are gone already.
fn strike(db: &Connection, name: &str, window: Duration, unix_ms: u64) -> rusqlite::Result<()> {
    let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    db.execute(
        "INSERT INTO strikes (name, count, ends_unix_ms) VALUES (?1, 1, ?2)
         ON CONFLICT (name) DO UPDATE SET count = count + 1",
        params![name, number(unix_ms.saturating_add(window_ms))?],
    )?;
    Ok(())
}

fn strikes(db: &Connection, name: &str, unix_ms: u64) -> rusqlite::Result<Strikes> {
    let now = number(unix_ms)?;
    let row = |row: &rusqlite::Row<'_>| {
        let ends: i64 = row.get(1)?;
        Ok(Strikes {
            count: row.get(0)?,
            left_ms: u64::try_from(ends - now).unwrap_or(0),
        })
    };
    let found = db.query_row(
        "SELECT count, ends_unix_ms FROM strikes WHERE name = ?1 AND ends_unix_ms > ?2",
        params![name, now],
        row,
    );
    Ok(found.optional()?.unwrap_or_default())
}

fn claim(db: &Connection, wish: &Wish, unix_ms: u64) -> rusqlite::Result<bool> {
    let changed = db.execute(
        "INSERT INTO leases (name, token, ends_unix_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET token = ?2, ends_unix_ms = ?3 WHERE ends_unix_ms <= ?4",
        params![wish.name, wish.token, end(wish, unix_ms)?, number(unix_ms)?],
    )?;
    Ok(changed == 1)
}

fn extend(db: &Connection, wish: &Wish, unix_ms: u64) -> rusqlite::Result<bool> {
    let changed = db.execute(
        "UPDATE leases SET ends_unix_ms = ?3 WHERE name = ?1 AND token = ?2 AND ends_unix_ms > ?4",
        params![wish.name, wish.token, end(wish, unix_ms)?, number(unix_ms)?],
    )?;
    Ok(changed == 1)
}

/// A name that is over goes, too; its holder held it no more.
fn release(db: &Connection, name: &str, token: &str, now: i64) -> rusqlite::Result<bool> {
    let ends: Option<i64> = db
        .query_row(
            "SELECT ends_unix_ms FROM leases WHERE name = ?1 AND token = ?2",
            params![name, token],
            |row| row.get(0),
        )
        .optional()?;
    db.execute(
        "DELETE FROM leases WHERE name = ?1 AND token = ?2",
        params![name, token],
    )?;
    Ok(ends.is_some_and(|ends| ends > now))
}

fn end(wish: &Wish, unix_ms: u64) -> rusqlite::Result<i64> {
    number(unix_ms.saturating_add(wish.left_ms))
}

fn list(db: &Connection, unix_ms: u64) -> rusqlite::Result<Vec<Lease>> {
    let now = number(unix_ms)?;
    let mut rows = db.prepare("SELECT name, token, ends_unix_ms FROM leases WHERE ends_unix_ms > ?1 ORDER BY name")?;
    let lease = |row: &rusqlite::Row<'_>| {
        let ends: i64 = row.get(2)?;
        Ok(Lease {
            name: row.get(0)?,
            token: row.get(1)?,
            left_ms: u64::try_from(ends - now).ok(),
        })
    };
    rows.query_map([now], lease)?.collect()
}
