//! A Docker engine made of memory, for faults and for scale: it speaks HTTP/1.1 on a Unix socket, answers what labtop
//! asks, and does what a test tells it to: hold requests, refuse them, hang, lose a container, break off its events.
//!
//! Knows Docker's interface. Must not know: rooms, agents, what labtop should make of the answers.
#![allow(dead_code, reason = "each test uses a part of it")]

mod http;
pub mod site;
mod world;

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

pub use http::Request;
use world::{Answer, Filters, refusal};
pub use world::{State, World};

/// How long a test waits for labtop to do something.
const PATIENCE: Duration = Duration::from_mins(1);

/// What kind of engine it says it is.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    pub version: &'static str,
    pub api: (u32, u32),
    /// The oldest API that it still takes in a path.
    pub oldest_api: (u32, u32),
}

/// The engine that labtop was measured with.
pub const DEBIAN: Release = Release {
    version: "20.10.24",
    api: (1, 41),
    oldest_api: (1, 12),
};

/// A running stub. It ends, and lets everything go that it holds, when it is dropped.
pub struct Engine {
    shared: Arc<Shared>,
    socket: PathBuf,
}

struct Shared {
    release: Release,
    inner: Mutex<Inner>,
    /// Something was asked, answered, released or ended.
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    world: World,
    gates: BTreeMap<u64, Gate>,
    gates_made: u64,
    refusals: Vec<(Which, u16, String)>,
    /// What the next answers that are lost are to.
    losses: Vec<Which>,
    /// How often the streams of events were broken.
    breaks: u64,
    ended: bool,
}

/// Tells which requests something is about.
type Which = Box<dyn Fn(&Request) -> bool + Send>;

/// What some requests must pass before they are answered.
struct Gate {
    which: Which,
    arrived: usize,
    passed: usize,
    /// How many go through together, when so many wait.
    wave: Option<usize>,
}

/// Requests that are held until this is dropped.
pub struct Hold {
    shared: Arc<Shared>,
    gate: u64,
}

impl Engine {
    /// An engine of that release, listening at `socket`.
    pub fn start(socket: &Path, release: Release) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let shared = Arc::new(Shared {
            release,
            inner: Mutex::default(),
            changed: Condvar::new(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.lock().ended {
                    return;
                }
                let (serving, Ok(stream)) = (Arc::clone(&serving), stream) else {
                    return;
                };
                // A client that goes away in the middle is no matter of the engine's.
                thread::spawn(move || serving.serve(&stream));
            }
        });
        Self {
            shared,
            socket: socket.to_owned(),
        }
    }

    /// Looks at, or changes, what is on the engine.
    pub fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let result = look(&mut self.shared.lock().world);
        self.shared.changed.notify_all();
        result
    }

    /// Waits until what is on the engine, and was asked of it, is as described.
    #[track_caller]
    pub fn until(&self, what: &str, is_so: impl Fn(&World) -> bool) {
        self.shared.until(what, |inner| is_so(&inner.world));
    }

    /// Holds the requests of that kind back.
    pub fn hold(&self, which: impl Fn(&Request) -> bool + Send + 'static) -> Hold {
        self.gate(Box::new(which), None)
    }

    /// Holds the requests of that kind back until so many wait, and then lets these through together.
    pub fn hold_in_waves(&self, size: usize, which: impl Fn(&Request) -> bool + Send + 'static) -> Hold {
        self.gate(Box::new(which), Some(size))
    }

    /// Answers nothing any more, though it takes every connection.
    pub fn hang(&self) -> Hold {
        self.hold(|_| true)
    }

    /// Holds pulls in the middle: they have told of all but their end.
    pub fn hold_pulls(&self) -> Hold {
        self.hold(|request| request.method == PULL)
    }

    /// Refuses the requests of that kind from now on.
    pub fn refuse(&self, status: u16, message: &str, which: impl Fn(&Request) -> bool + Send + 'static) {
        let refusal = (Box::new(which) as Which, status, message.to_owned());
        self.shared.lock().refusals.push(refusal);
    }

    /// Does what the next request of that kind asks for, and goes away without an answer to it.
    pub fn lose_answer(&self, which: impl Fn(&Request) -> bool + Send + 'static) {
        self.shared.lock().losses.push(Box::new(which));
    }

    /// Breaks every stream of events off in the middle of a word.
    pub fn break_events(&self) {
        self.shared.lock().breaks += 1;
        self.shared.changed.notify_all();
    }

    fn gate(&self, which: Which, wave: Option<usize>) -> Hold {
        let mut inner = self.shared.lock();
        inner.gates_made += 1;
        let gate = inner.gates_made;
        let held = Gate {
            which,
            arrived: 0,
            passed: 0,
            wave,
        };
        inner.gates.insert(gate, held);
        let shared = Arc::clone(&self.shared);
        Hold { shared, gate }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
        // The thread that takes connections looks up at the next one.
        let _ = UnixStream::connect(&self.socket);
    }
}

impl Hold {
    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        let inner = self.shared.lock();
        let gate = &inner.gates[&self.gate];
        gate.arrived - gate.passed
    }

    /// Waits until so many requests wait.
    #[track_caller]
    pub fn until_waiting(&self, count: usize) {
        let what = format!("{count} requests wait");
        let waiting = |gate: &Gate| gate.arrived - gate.passed >= count;
        self.shared.until(&what, |inner| waiting(&inner.gates[&self.gate]));
    }

    /// Waits until so many requests were let through.
    #[track_caller]
    pub fn until_passed(&self, count: usize) {
        let what = format!("{count} requests passed");
        self.shared
            .until(&what, |inner| inner.gates[&self.gate].passed >= count);
    }

    /// Lets everything through, for good.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.lock().gates.remove(&self.gate);
        self.shared.changed.notify_all();
    }
}

/// The method of the request that stands for the end of a pull; its path is the image.
const PULL: &str = "PULL";

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A test that panicked while it looked has broken nothing.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something is so, or the stub ends.
    fn wait_while(&self, mut is_so: impl FnMut(&Inner) -> bool) -> MutexGuard<'_, Inner> {
        let waited = self
            .changed
            .wait_while(self.lock(), |inner| !inner.ended && is_so(inner));
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn(&Inner) -> bool) {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), PATIENCE, |inner| !is_so(inner));
        let (inner, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        let requests = &inner.world.requests;
        let last: Vec<String> = requests[requests.len().saturating_sub(10)..]
            .iter()
            .map(|request| format!("{} {}", request.method, request.path))
            .collect();
        drop(inner);
        assert!(
            !timeout.timed_out(),
            "not within {PATIENCE:?}: {what}; the last requests: {last:#?}"
        );
    }

    fn serve(&self, stream: &UnixStream) -> io::Result<()> {
        let Some(request) = Request::read(&mut BufReader::new(stream))? else {
            return Ok(());
        };
        let request = Arc::new(request);
        self.lock().world.note(&request);
        self.changed.notify_all();
        self.pass(&request);
        let answer = self.answer(&request);
        match answer {
            _ if self.is_lost(&request) => stream.shutdown(Shutdown::Both),
            Answer::Json(status, value) => {
                let body = if value.is_null() {
                    String::new()
                } else {
                    value.to_string()
                };
                http::answer(&mut &*stream, status, "application/json", body.as_bytes())
            }
            Answer::Bytes(bytes) => http::answer(&mut &*stream, 200, "application/x-tar", &bytes),
            Answer::Events(from, filters) => self.tell_events(stream, from, &filters),
            Answer::Pull(image, reports) => self.tell_pull(stream, image, &reports),
        }
    }

    /// Waits at every gate that the request must pass.
    fn pass(&self, request: &Request) {
        let mut inner = self.lock();
        let mut places = Vec::new();
        for (id, gate) in &mut inner.gates {
            if (gate.which)(request) {
                places.push((*id, gate.arrived));
                gate.arrived += 1;
                if gate.wave.is_some_and(|size| gate.arrived - gate.passed >= size) {
                    gate.passed = gate.arrived;
                }
            }
        }
        drop(inner);
        self.changed.notify_all();
        let held =
            |inner: &Inner, (id, place): &(u64, usize)| inner.gates.get(id).is_some_and(|gate| *place >= gate.passed);
        drop(self.wait_while(|inner| places.iter().any(|place| held(inner, place))));
    }

    fn answer(&self, request: &Request) -> Answer {
        let mut inner = self.lock();
        let refused = inner.refusals.iter().find(|(which, ..)| which(request));
        let refused = refused.map(|(_, status, message)| refusal(*status, message));
        let answer = self.of_release(request).or(refused);
        let answer = answer.unwrap_or_else(|| inner.world.answer(request));
        let status = match &answer {
            Answer::Json(status, _) => *status,
            _ => 200,
        };
        inner.world.answered(request, status);
        drop(inner);
        self.changed.notify_all();
        answer
    }

    fn is_lost(&self, request: &Request) -> bool {
        let losses = &mut self.lock().losses;
        let lost = losses.iter().position(|which| which(request));
        lost.map(|place| drop(losses.remove(place))).is_some()
    }

    /// What depends on the engine's age: which versions it takes in a path, and what it says of itself.
    fn of_release(&self, request: &Request) -> Option<Answer> {
        let Release {
            version,
            api,
            oldest_api,
        } = self.release;
        let words = |(major, minor): (u32, u32)| format!("{major}.{minor}");
        let wrong = |asked, which, kind, bound, advice: &str| {
            let text = format!(
                "client version {} is too {which}. {kind} supported API version is {}{advice}",
                words(asked),
                words(bound)
            );
            refusal(400, text)
        };
        match request.version {
            Some(asked) if asked < oldest_api => {
                let advice = ", please upgrade your client to a newer version";
                Some(wrong(asked, "old", "Minimum", oldest_api, advice))
            }
            Some(asked) if asked > api => Some(wrong(asked, "new", "Maximum", api, "")),
            _ if request.is("GET", "/version") => {
                let told = json!({ "Version": version, "ApiVersion": words(api), "MinAPIVersion": words(oldest_api) });
                Some(Answer::Json(200, told))
            }
            _ => None,
        }
    }

    fn tell_events(&self, mut stream: &UnixStream, from: usize, filters: &Filters) -> io::Result<()> {
        http::begin_chunks(&mut stream)?;
        let breaks = self.lock().breaks;
        let mut next = from;
        loop {
            let inner = self.wait_while(|inner| inner.breaks == breaks && inner.world.events.len() <= next);
            if inner.ended || inner.breaks != breaks {
                break;
            }
            let news: Vec<Value> = inner.world.events[next..].to_vec();
            drop(inner);
            next += news.len();
            for event in news.iter().filter(|event| filters.pass(event)) {
                http::chunk(&mut stream, format!("{event}\n").as_bytes())?;
            }
        }
        stream.write_all(b"40\r\n{\"Type\":\"contai")?;
        stream.shutdown(Shutdown::Both)
    }

    /// All reports but the last come at once, the last and the image when nobody holds them.
    fn tell_pull(&self, mut stream: &UnixStream, image: String, reports: &[Value]) -> io::Result<()> {
        http::begin_chunks(&mut stream)?;
        let (last, first) = reports.split_last().unwrap();
        for report in first {
            http::chunk(&mut stream, format!("{report}\n").as_bytes())?;
        }
        let end = Request {
            method: PULL.into(),
            path: image.clone(),
            ..Request::default()
        };
        self.pass(&end);
        if last["error"].is_null() {
            self.lock().world.images.insert(image);
        }
        http::chunk(&mut stream, format!("{last}\n").as_bytes())?;
        http::chunk(&mut stream, b"")
    }
}
