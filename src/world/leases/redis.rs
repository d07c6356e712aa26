//! Names and permits in Redis. Every key lies below a prefix; an index of each instance's names makes looking through a
//! shared server's keys unnecessary.

use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError, TlsCertificates, cmd, pipe,
};
use tokio::sync::Notify;

use super::{Lease, Strikes, Wish};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::InstanceId;
use crate::domain::settings::RedisSettings;

/// How long a server may take to answer; one that hangs longer counts as away.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// How long a connection may take.
const CONNECTS_WITHIN: Duration = Duration::from_secs(2);
/// Pause before hints are asked for again after the connection was lost.
const HINTS_AGAIN: Duration = Duration::from_secs(5);

/// Takes a name: key, index; token, milliseconds, name.
const CLAIM: &str = "
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
    redis.call('SADD', KEYS[2], ARGV[3])
    return 1
end
return 0";
/// Sets a name's time anew: key; token, milliseconds.
const EXTEND: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0";
/// Gives a name up: key, index; token, name. One that is over, or that is given up without a token, is only taken off the
/// index.
const RELEASE: &str = "
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
    redis.call('SREM', KEYS[2], ARGV[2])
    return redis.call('DEL', KEYS[1])
end
if not holder or ARGV[1] == '' then redis.call('SREM', KEYS[2], ARGV[2]) end
return 0";
/// Asks for a permit, or for more time: key; holder, limit, milliseconds. The server's clock counts for everybody; when it
/// was set back, permits that would last for more than an hour go.
const PERMIT: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 3600000, '+inf')
if redis.call('ZSCORE', KEYS[1], ARGV[1]) or redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[2]) then
    redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
    redis.call('PEXPIRE', KEYS[1], ARGV[3] * 2)
    return 1
end
return 0";

/// Counts a strike: key; milliseconds. The count, and how long it counts.
const STRIKE: &str = "
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}";

/// One instance's part of a server.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    connection: ConnectionManager,
    prefix: String,
    instance: InstanceId,
    database: i64,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// A way to the server of the settings, which need not be up. Must be called within a runtime.
    ///
    /// # Errors
    /// When a file of the settings cannot be read, or does not hold what it should.
    pub fn new(settings: &RedisSettings, instance: InstanceId) -> Result<Self, Fault> {
        let info = address(settings)?;
        let database = info.redis_settings().db();
        let client = match &settings.ca_file {
            None => Client::open(info),
            Some(path) => {
                let root_cert = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(root_cert),
                };
                Client::build_with_tls(info, certificates)
            }
        };
        let client = client.map_err(|error| wrong(&error))?;
        let manner = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECTS_WITHIN))
            .set_response_timeout(Some(ANSWERS_WITHIN))
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(200));
        let connection =
            ConnectionManager::new_lazy_with_config(client.clone(), manner).map_err(|error| wrong(&error))?;
        Ok(Self {
            client,
            connection,
            prefix: settings.prefix.clone(),
            instance,
            database,
        })
    }

    fn key(&self, name: &str) -> String {
        format!("{}lease:{}:{name}", self.prefix, self.instance)
    }

    fn index(&self) -> String {
        format!("{}leases:{}", self.prefix, self.instance)
    }

    fn pool(&self, pool: &str) -> String {
        format!("{}permits:{pool}", self.prefix)
    }

    async fn ask<T: FromRedisValue>(&self, questions: &Pipeline) -> Result<T, Fault> {
        let mut connection = self.connection.clone();
        let asked = questions.query_async(&mut connection);
        // The connection's own limit does not count while it is being made.
        match tokio::time::timeout(CONNECTS_WITHIN + ANSWERS_WITHIN * 2, asked).await {
            Ok(answer) => answer.map_err(|error| away(&error)),
            Err(_) => Err(fault("Redis does not answer")),
        }
    }

    async fn each<'w, W>(&self, all: &'w [W], one: impl Fn(&mut Pipeline, &'w W)) -> Result<Vec<bool>, Fault> {
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let mut questions = pipe();
        for wish in all {
            one(&mut questions, wish);
        }
        self.ask(&questions).await
    }

    pub(super) async fn claim(&self, wishes: &[Wish]) -> Result<Vec<bool>, Fault> {
        let one = |questions: &mut Pipeline, wish: &Wish| {
            let script = questions
                .cmd("EVAL")
                .arg(CLAIM)
                .arg(2)
                .arg(self.key(&wish.name))
                .arg(self.index());
            script.arg(&wish.token).arg(wish.left_ms).arg(&wish.name);
        };
        self.each(wishes, one).await
    }

    pub(super) async fn extend(&self, wishes: &[Wish]) -> Result<Vec<bool>, Fault> {
        let one = |questions: &mut Pipeline, wish: &Wish| {
            let script = questions.cmd("EVAL").arg(EXTEND).arg(1).arg(self.key(&wish.name));
            script.arg(&wish.token).arg(wish.left_ms);
        };
        self.each(wishes, one).await
    }

    pub(super) async fn release(&self, held: &[(String, String)]) -> Result<Vec<bool>, Fault> {
        let one = |questions: &mut Pipeline, (name, token): &(String, String)| {
            let script = questions
                .cmd("EVAL")
                .arg(RELEASE)
                .arg(2)
                .arg(self.key(name))
                .arg(self.index());
            script.arg(token).arg(name);
        };
        self.each(held, one).await
    }

    pub(super) async fn list(&self, wanted: &[String]) -> Result<Vec<Lease>, Fault> {
        let mut index = pipe();
        index.smembers(self.index());
        let (mut names,): (Vec<String>,) = self.ask(&index).await?;
        names.extend(wanted.iter().cloned());
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut questions = pipe();
        for name in &names {
            questions.get(self.key(name)).pttl(self.key(name));
        }
        let answers: Vec<redis::Value> = self.ask(&questions).await?;
        self.forget(&names, &answers, wanted).await?;
        let pairs = names.into_iter().zip(answers.chunks_exact(2));
        let leases = pairs.filter_map(|(name, pair)| {
            let token = Option::<String>::from_redis_value(pair[0].clone()).ok()??;
            let left_ms = i64::from_redis_value(pair[1].clone()).ok()?;
            // It ended between the two questions.
            (left_ms != GONE).then(|| Lease {
                name,
                token,
                left_ms: u64::try_from(left_ms).ok(),
            })
        });
        Ok(leases.collect())
    }

    /// Takes names off the index that are over and that nobody wants: it would grow for ever.
    async fn forget(&self, names: &[String], answers: &[redis::Value], wanted: &[String]) -> Result<(), Fault> {
        let over = names.iter().zip(answers.chunks_exact(2));
        let over = over.filter(|(name, pair)| pair[0] == redis::Value::Nil && !wanted.contains(name));
        let over: Vec<&String> = over.map(|(name, _)| name).collect();
        if over.is_empty() {
            return Ok(());
        }
        let mut questions = pipe();
        questions.srem(self.index(), over).ignore();
        self.ask(&questions).await
    }

    pub(super) async fn hint(&self, news: &Notify) {
        loop {
            if let Err(error) = self.listen(news).await {
                tracing::debug!(%error, "Redis gives no hints of ended leases");
            }
            tokio::time::sleep(HINTS_AGAIN).await;
        }
    }

    /// Hears of ended keys until the connection is lost.
    async fn listen(&self, news: &Notify) -> Result<(), RedisError> {
        let mut connection = self.connection.clone();
        // A server that does not permit it may be set so already; if not, no hint comes.
        let _ = tokio::time::timeout(ANSWERS_WITHIN, ask_for_hints(&mut connection)).await;
        let mut hearing = self.client.get_async_pubsub().await?;
        hearing
            .subscribe(format!("__keyevent@{}__:expired", self.database))
            .await?;
        let ours = self.key("");
        let mut ended = hearing.on_message();
        while let Some(message) = ended.next().await {
            if message.get_payload_bytes().starts_with(ours.as_bytes()) {
                news.notify_one();
            }
        }
        Ok(())
    }

    pub(super) async fn permit(&self, pool: &str, holder: &str, limit: usize, ttl: Duration) -> Result<bool, Fault> {
        let mut questions = pipe();
        let script = questions.cmd("EVAL").arg(PERMIT).arg(1).arg(self.pool(pool));
        script
            .arg(holder)
            .arg(limit)
            .arg(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let (has,): (bool,) = self.ask(&questions).await?;
        Ok(has)
    }

    fn struck(&self, name: &str) -> String {
        format!("{}strikes:{}:{name}", self.prefix, self.instance)
    }

    pub(super) async fn strike(&self, name: &str, window: Duration) -> Result<Strikes, Fault> {
        let mut questions = pipe();
        let script = questions.cmd("EVAL").arg(STRIKE).arg(1).arg(self.struck(name));
        script.arg(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
        let ((count, left_ms),): ((u32, i64),) = self.ask(&questions).await?;
        Ok(strikes(count, left_ms))
    }

    pub(super) async fn strikes(&self, name: &str) -> Result<Strikes, Fault> {
        let mut questions = pipe();
        questions.get(self.struck(name)).pttl(self.struck(name));
        let (count, left_ms): (Option<u32>, i64) = self.ask(&questions).await?;
        Ok(strikes(count.unwrap_or(0), left_ms))
    }

    pub(super) async fn absolve(&self, name: &str) -> Result<(), Fault> {
        let mut questions = pipe();
        questions.del(self.struck(name)).ignore();
        self.ask(&questions).await
    }

    pub(super) async fn give_back(&self, pool: &str, holder: &str) -> Result<(), Fault> {
        let mut questions = pipe();
        questions.zrem(self.pool(pool), holder);
        let _: (i64,) = self.ask(&questions).await?;
        Ok(())
    }
}

/// Has the server tell of ended keys, besides whatever else it tells already.
async fn ask_for_hints(connection: &mut ConnectionManager) -> Result<(), RedisError> {
    const FLAGS: &str = "notify-keyspace-events";
    let set: Vec<String> = cmd("CONFIG").arg("GET").arg(FLAGS).query_async(connection).await?;
    let mut flags = set.into_iter().nth(1).unwrap_or_default();
    let has = |flags: &str, flag: char| flags.contains(flag) || flag == 'x' && flags.contains('A');
    let missing: String = "Ex".chars().filter(|flag| !has(&flags, *flag)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    flags.push_str(&missing);
    cmd("CONFIG")
        .arg("SET")
        .arg(FLAGS)
        .arg(flags)
        .query_async(connection)
        .await
}

/// A key that is not there, or went between two questions, counts nothing.
fn strikes(count: u32, left_ms: i64) -> Strikes {
    u64::try_from(left_ms).map_or_else(|_| Strikes::default(), |left_ms| Strikes { count, left_ms })
}

/// What Redis says of the time to live of a key that is not there.
const GONE: i64 = -2;

fn address(settings: &RedisSettings) -> Result<ConnectionInfo, Fault> {
    let info = settings
        .url
        .expose()
        .into_connection_info()
        .map_err(|error| wrong(&error))?;
    let Some(path) = &settings.password_file else {
        return Ok(info);
    };
    let password = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let of_server = info
        .redis_settings()
        .clone()
        .set_password(password.trim_end_matches(['\r', '\n']));
    Ok(info.set_redis_settings(of_server))
}

fn fault(text: &str) -> Fault {
    Fault::new(FaultCode::Leases, text).hint("The ledger serves the leases meanwhile; look whether Redis runs")
}

fn away(error: &RedisError) -> Fault {
    fault(&format!("Redis does not answer as it should: {error}"))
}

fn wrong(error: &RedisError) -> Fault {
    Fault::new(FaultCode::Leases, format!("[leases] cannot be used: {error}")).hint("See `labtop config check`")
}

fn unreadable(path: &std::path::Path, error: &std::io::Error) -> Fault {
    Fault::new(FaultCode::Leases, format!("{} cannot be read: {error}", path.display()))
        .hint("It is named by [leases]; the agent's user must be able to read it")
}
