//! A door before the real engine, on a socket of the test's: requests pass one by one, and a test may hold some back, cut
//! the answers to others in their middle, or close the door for a while, as an engine that is restarted does.
//!
//! It also says that the engine's files lie elsewhere, so that workspaces are read as streams.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Where the real engine listens.
const ENGINE: &str = "/var/run/docker.sock";
/// How long a test waits for labtop to ask for something.
const PATIENCE: Duration = Duration::from_mins(1);
/// What stands before the place of the engine's files in its answer about itself.
const ROOT_DIR: &[u8] = b"\"DockerRootDir\":\"/";

type Which = Box<dyn Fn(&str) -> bool + Send>;

/// How an answer ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The connection breaks in the middle of a piece.
    Broken,
    /// It ends as a whole answer does: what a real engine does that stumbles over a file.
    Quiet,
    /// Nothing comes any more, until the door is closed.
    Silent,
}

/// What happens to the requests of a kind; each is named by its first line.
struct Rule {
    which: Which,
    deed: Deed,
}

enum Deed {
    /// Waits until the rule with this number is gone.
    Hold(u64),
    /// So many answers end after so many bytes.
    Cut { how: Cut, after: u64, times: usize },
}

#[derive(Default)]
struct Inner {
    rules: Vec<Rule>,
    made: u64,
    /// The first lines of all requests.
    seen: Vec<String>,
    waiting: usize,
    cuts: usize,
    closed: bool,
    /// Whether the engine's files are said to lie where they do.
    honest: bool,
    /// What is shut when the door is closed.
    streams: Vec<UnixStream>,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

/// The door; closed when it is dropped.
pub struct Door {
    dir: tempfile::TempDir,
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

/// Requests that are held until this is dropped.
pub struct Held {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let number = self.number;
        let is_it = |rule: &Rule| matches!(rule.deed, Deed::Hold(of) if of == number);
        self.shared.lock().rules.retain(|rule| !is_it(rule));
        self.shared.changed.notify_all();
    }
}

impl Door {
    pub fn new() -> Self {
        assert!(
            std::env::var_os("DOCKER_HOST").is_none(),
            "this test needs the engine at {ENGINE}: unset DOCKER_HOST"
        );
        let mut door = Self {
            dir: tempfile::Builder::new().prefix("labtop-door-").tempdir().unwrap(),
            shared: Arc::default(),
            keeper: None,
        };
        door.open();
        door
    }

    /// One that says where the engine's files lie.
    pub fn honest() -> Self {
        let door = Self::new();
        door.shared.lock().honest = true;
        door
    }

    /// What a configuration needs to go through it.
    pub fn config(&self) -> String {
        format!("[docker]\nhost = \"unix://{}\"\n", self.socket().display())
    }

    /// Lets people in again after [`Door::close`].
    pub fn open(&mut self) {
        self.shared.lock().closed = false;
        let listener = UnixListener::bind(self.socket()).unwrap();
        let shared = Arc::clone(&self.shared);
        self.keeper = Some(thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.lock().closed {
                    return;
                }
                let shared = Arc::clone(&shared);
                // Whoever goes away in the middle is no matter of the door's.
                thread::spawn(move || shared.serve(&stream));
            }
        }));
    }

    /// Breaks off everything that is under way, and is not there any more.
    pub fn close(&mut self) {
        self.shared.lock().closed = true;
        let _ = UnixStream::connect(self.socket());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
        let _ = std::fs::remove_file(self.socket());
        for stream in self.shared.lock().streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.shared.changed.notify_all();
    }

    /// Holds the requests back whose first line is such.
    pub fn hold(&self, which: impl Fn(&str) -> bool + Send + 'static) -> Held {
        let mut inner = self.shared.lock();
        inner.made += 1;
        let number = inner.made;
        let which = Box::new(which);
        inner.rules.push(Rule {
            which,
            deed: Deed::Hold(number),
        });
        let shared = Arc::clone(&self.shared);
        Held { shared, number }
    }

    /// Waits until so many requests are held.
    #[track_caller]
    pub fn until_waiting(&self, count: usize) {
        self.shared.until("requests are held", |inner| inner.waiting >= count);
    }

    /// Ends so many answers to requests of that kind after so many bytes.
    pub fn cut(&self, how: Cut, after: u64, times: usize, which: impl Fn(&str) -> bool + Send + 'static) {
        let which = Box::new(which);
        let deed = Deed::Cut { how, after, times };
        self.shared.lock().rules.push(Rule { which, deed });
    }

    /// How many answers were cut.
    pub fn cuts(&self) -> usize {
        self.shared.lock().cuts
    }

    /// Waits until so many answers were cut.
    #[track_caller]
    pub fn until_cut(&self, count: usize) {
        self.shared.until("answers are cut", |inner| inner.cuts >= count);
    }

    /// How many requests of that kind came.
    pub fn count(&self, which: impl Fn(&str) -> bool) -> usize {
        self.shared.lock().seen.iter().filter(|line| which(line)).count()
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shared.lock().rules.clear();
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn(&Inner) -> bool) {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), PATIENCE, |inner| !is_so(inner));
        let (inner, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        let last: Vec<String> = inner.seen.iter().rev().take(10).cloned().collect();
        drop(inner);
        assert!(
            !timeout.timed_out(),
            "not within {PATIENCE:?}: {what}; last was asked: {last:#?}"
        );
    }

    fn serve(&self, client: &UnixStream) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let Some((first, rest)) = head(&mut reader)? else {
            return Ok(());
        };
        self.lock().seen.push(first.clone());
        self.changed.notify_all();
        self.pass(&first);
        if is_gone(client) {
            return Ok(());
        }
        let cut = self.cut(&first);
        let engine = UnixStream::connect(ENGINE)?;
        self.lock().streams.extend([client.try_clone()?, engine.try_clone()?]);
        // Of an answer without pieces the end is all that tells its end.
        let first = match cut {
            Some((Cut::Quiet, _)) => first.replace("HTTP/1.1", "HTTP/1.0"),
            _ => first.clone(),
        };
        let one_by_one = if rest.to_ascii_lowercase().contains("upgrade") {
            ""
        } else {
            "Connection: close\r\n"
        };
        (&engine).write_all(format!("{first}\r\n{one_by_one}{rest}").as_bytes())?;
        let asked = engine.try_clone()?;
        thread::spawn(move || {
            let _ = io::copy(&mut reader, &mut &asked);
            let _ = asked.shutdown(Shutdown::Both);
        });
        let told = self.answer(&first, cut, &engine, client);
        let _ = client.shutdown(Shutdown::Both);
        let _ = engine.shutdown(Shutdown::Both);
        told
    }

    fn answer(
        &self,
        first: &str,
        cut: Option<(Cut, u64)>,
        engine: &UnixStream,
        mut client: &UnixStream,
    ) -> io::Result<()> {
        if let Some((how, after)) = cut {
            io::copy(&mut engine.take(after), &mut client)?;
            self.lock().cuts += 1;
            self.changed.notify_all();
            if how == Cut::Silent {
                let waited = self.changed.wait_while(self.lock(), |inner| !inner.closed);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
            return Ok(());
        }
        if !first.contains("/info ") || self.lock().honest {
            return io::copy(&mut &*engine, &mut client).map(drop);
        }
        let mut answer = Vec::new();
        (&*engine).read_to_end(&mut answer)?;
        if let Some(place) = answer.windows(ROOT_DIR.len()).position(|part| part == ROOT_DIR) {
            answer[place + ROOT_DIR.len()] = b'_';
        }
        client.write_all(&answer)
    }

    /// Waits as long as a rule holds the request.
    fn pass(&self, first: &str) {
        let mut inner = self.lock();
        // A rule may look at what is outside of this test: it is asked once.
        let held: Vec<u64> = inner
            .rules
            .iter()
            .filter_map(|rule| match rule.deed {
                Deed::Hold(number) if (rule.which)(first) => Some(number),
                _ => None,
            })
            .collect();
        if held.is_empty() {
            return;
        }
        inner.waiting += 1;
        self.changed.notify_all();
        let holds = |inner: &mut Inner| {
            let still = |rule: &Rule| matches!(rule.deed, Deed::Hold(number) if held.contains(&number));
            !inner.closed && inner.rules.iter().any(still)
        };
        let mut inner = self
            .changed
            .wait_while(inner, holds)
            .unwrap_or_else(PoisonError::into_inner);
        inner.waiting -= 1;
    }

    fn cut(&self, first: &str) -> Option<(Cut, u64)> {
        let mut inner = self.lock();
        inner.rules.iter_mut().find_map(|rule| match &mut rule.deed {
            Deed::Cut { how, after, times } if *times > 0 && (rule.which)(first) => {
                *times -= 1;
                Some((*how, *after))
            }
            _ => None,
        })
    }
}

/// Whether whoever asked is not there any more: then nobody asks for it.
fn is_gone(client: &UnixStream) -> bool {
    use rustix::net::{RecvFlags, recv};
    let peeked = recv(client, &mut [0_u8; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    peeked.is_ok_and(|(count, _)| count == 0)
}

/// The first line of a request and the rest of its head; none when there is no request.
fn head(from: &mut impl BufRead) -> io::Result<Option<(String, String)>> {
    let mut first = String::new();
    if from.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut rest = String::new();
    while !rest.ends_with("\r\n\r\n") && rest != "\r\n" {
        if from.read_line(&mut rest)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some((first.trim_end().to_owned(), rest)))
}
