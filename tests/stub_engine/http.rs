//! As much of HTTP/1.1 as Docker's clients speak on its socket: one request for a connection, answers of known length
//! or in chunks.

use std::io::{self, BufRead, Read, Write};

use serde_json::Value;

/// Longest body that is taken, bytes: what is uploaded to the stub is a few files.
const BODY_MAX: usize = 64 << 20;

/// One request, its path without the API version.
#[derive(Debug, Default)]
pub struct Request {
    pub method: String,
    /// The version in front of the path, such as (1, 41).
    pub version: Option<(u32, u32)>,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// Reads one request; none when the client has nothing more to say.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(first) = line(from)? else { return Ok(None) };
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::Error::other(format!("no request line: {first}")));
        };
        let (mut length, mut chunked) = (0, false);
        while let Some(header) = line(from)?.filter(|line| !line.is_empty()) {
            let (name, value) = header.split_once(':').unwrap_or((&header, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
                "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
                _ => {}
            }
        }
        let body = if chunked { chunks(from)? } else { exactly(from, length)? };
        Ok(Some(Self::new(method, target, body)))
    }

    fn new(method: &str, target: &str, body: Vec<u8>) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (version, path) = versioned(path);
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(&key.replace('+', " ")), decoded(&value.replace('+', " ")))
        };
        Self {
            method: method.to_owned(),
            version,
            path: decoded(path),
            query: query.split('&').filter(|text| !text.is_empty()).map(pair).collect(),
            body,
        }
    }

    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }

    /// The value of a query parameter; empty when it is not there.
    pub fn query(&self, key: &str) -> &str {
        let found = self.query.iter().find(|(name, _)| name == key);
        found.map_or("", |(_, value)| value)
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Writes an answer of known length, after which the connection ends.
pub fn answer(to: &mut impl Write, status: u16, kind: &str, body: &[u8]) -> io::Result<()> {
    // An answer without content has neither length nor type.
    let about = match status {
        204 | 304 => String::new(),
        _ => format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()),
    };
    write!(to, "HTTP/1.1 {status} Stub\r\n{about}Connection: close\r\n\r\n")?;
    to.write_all(body)?;
    to.flush()
}

/// Begins an answer in chunks.
pub fn begin_chunks(to: &mut impl Write) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    to.write_all(head.as_bytes())?;
    to.flush()
}

/// Writes one chunk; an empty one ends the answer.
pub fn chunk(to: &mut impl Write, content: &[u8]) -> io::Result<()> {
    write!(to, "{:x}\r\n", content.len())?;
    to.write_all(content)?;
    to.write_all(b"\r\n")?;
    to.flush()
}

fn versioned(path: &str) -> (Option<(u32, u32)>, &str) {
    let split = || {
        let rest = path.strip_prefix("/v")?;
        let (version, _) = rest.split_once('/')?;
        let (major, minor) = version.split_once('.')?;
        let version_number = (major.parse().ok()?, minor.parse().ok()?);
        Some((version_number, &rest[version.len()..]))
    };
    split().map_or((None, path), |(version, rest)| (Some(version), rest))
}

fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut text = String::new();
    let read = from.read_line(&mut text)?;
    Ok((read > 0).then(|| text.trim_end().to_owned()))
}

fn exactly(from: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    if length > BODY_MAX {
        return Err(io::Error::other("too much"));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(body)
}

fn chunks(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(from)?.unwrap_or_default();
        let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
        body.extend(exactly(from, size)?);
        line(from)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let code = text
            .get(at + 1..at + 3)
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        let (next, length) = code.filter(|_| byte == b'%').map_or((byte, 1), |code| (code, 3));
        plain.push(next);
        at += length;
    }
    String::from_utf8_lossy(&plain).into_owned()
}
