//! Headless Chromium, steered over `WebDriver`: what students do with keyboard and pointer, what they see, and pictures of
//! it. `WebDriver` is JSON over HTTP, so this small client of our own spares the tests a crate with ten others.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::lab::until;

/// How long the browser may take for anything; its start on a loaded host takes longest.
const ANSWERS_WITHIN: Duration = Duration::from_mins(1);
/// The same when all is over, maybe because it does not answer.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long what is killed may keep its files.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// Where Debian's package puts it.
const CHROMIUM: &str = "/usr/bin/chromium";
const MISSING: &str = "this test needs Chromium and its driver: apt-get install chromium chromium-driver (`make test` \
    installs them)";
/// Where pictures are kept.
const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/screenshots");
/// How `WebDriver` names the key of an element's id.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub const TAB: &str = "\u{E004}";
pub const ENTER: &str = "\u{E007}";

/// The pictures of one story, in the order in which they are taken.
pub struct Album {
    taken: AtomicUsize,
}

impl Album {
    /// An empty one: what an earlier run left is taken away.
    pub fn new() -> Self {
        let _ = std::fs::remove_dir_all(PICTURES);
        std::fs::create_dir_all(PICTURES).unwrap();
        Self {
            taken: AtomicUsize::new(0),
        }
    }

    fn keep(&self, name: &str, png: &[u8]) {
        let number = self.taken.fetch_add(1, Ordering::SeqCst) + 1;
        let path = Path::new(PICTURES).join(format!("{number:02}-{name}.png"));
        std::fs::write(path, png).unwrap();
    }
}

/// What somebody looks with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// A window on a desk.
    Desk,
    /// A small phone that runs no scripts.
    PhoneWithoutScripts,
}

impl Device {
    const PHONE_WIDTH: u64 = 360;

    fn capabilities(self, home: &Path) -> Value {
        let mut options = json!({
            "binary": CHROMIUM,
            "args": [
                "--headless=new",
                // Chromium's sandbox does not work for root, nor its big shared memory in many containers.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--window-size=1000,760",
                // Students type a name and not 127.0.0.1, which browsers trust more than others.
                "--host-resolver-rules=MAP lab.test 127.0.0.1",
                format!("--user-data-dir={}", home.join("profile").display()),
            ],
        });
        if self == Self::PhoneWithoutScripts {
            options["mobileEmulation"] = json!({ "deviceMetrics": {
                "width": Self::PHONE_WIDTH, "height": 640, "pixelRatio": 2, "mobile": true,
                // With fingers that touch, the driver would wait for a script of its own.
                "touch": false,
            } });
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "timeouts": { "pageLoad": 30_000 },
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": options,
        } } })
    }
}

/// One browser with a profile of its own; it ends with all its processes when it is dropped.
pub struct Chromium<'a> {
    album: &'a Album,
    device: Device,
    home: tempfile::TempDir,
    driver: Child,
    runtime: Runtime,
    http: reqwest::Client,
    limit: Duration,
    session: String,
}

impl<'a> Chromium<'a> {
    pub fn start(album: &'a Album, device: Device) -> Self {
        let home = tempfile::Builder::new().prefix("labtop-chromium-").tempdir().unwrap();
        let log = home.path().join("driver.log");
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            // What is not kept in the profile is kept below the home directory.
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_CACHE_HOME")
            .stdin(Stdio::null())
            .stdout(File::create(&log).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .expect(MISSING);
        let mut browser = Self {
            album,
            device,
            home,
            driver,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            limit: ANSWERS_WITHIN,
            session: String::new(),
        };
        let port = until("chromedriver tells its port", || {
            port_in(&std::fs::read_to_string(&log).ok()?)
        });
        let sessions = format!("http://127.0.0.1:{port}/session");
        let capabilities = device.capabilities(browser.home.path());
        let begun = browser.send(Method::POST, &sessions, Some(&capabilities));
        let begun = begun.unwrap_or_else(|error| panic!("{error}\n{MISSING}"));
        browser.session = format!("{sessions}/{}", begun["sessionId"].as_str().unwrap());
        browser
    }

    /// Types an address.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Loads the page again.
    #[track_caller]
    pub fn reload(&self) {
        self.post("/refresh", &json!({}));
    }

    /// Where the browser is.
    #[track_caller]
    pub fn url(&self) -> String {
        self.get("/url").as_str().unwrap().to_owned()
    }

    /// The same without scheme and host.
    #[track_caller]
    pub fn path(&self) -> String {
        self.url().splitn(4, '/').nth(3).unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn title(&self) -> String {
        self.get("/title").as_str().unwrap().to_owned()
    }

    /// The text of an element that is shown; none while there is no such one.
    pub fn text(&self, css: &str) -> Option<String> {
        let element = self.element(css)?;
        let text = self.ask(Method::GET, &format!("/element/{element}/text"), None).ok()?;
        Some(text.as_str()?.to_owned())
    }

    /// Waits until the heading says this.
    #[track_caller]
    pub fn is_headed(&self, words: &str) {
        until(&format!("the heading is {words:?}"), || {
            (self.text("h1")? == words).then_some(())
        });
    }

    /// Presses the pointer on an element, or a finger, once it is there.
    #[track_caller]
    pub fn click(&self, css: &str) {
        until(&format!("{css} can be clicked"), || self.try_click(css));
    }

    /// The same when it is there now.
    pub fn try_click(&self, css: &str) -> Option<()> {
        let element = self.element(css)?;
        let click = format!("/element/{element}/click");
        self.ask(Method::POST, &click, Some(&json!({}))).ok().map(|_| ())
    }

    /// Presses keys, one after the other, wherever the focus is.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })))
            .collect();
        let keyboard = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] });
        self.post("/actions", &keyboard);
    }

    /// Waits until something has the focus: a field of this name, or a button or a link that says this.
    #[track_caller]
    pub fn has_focus_on(&self, words: &str) {
        let script = "const e = document.activeElement; return e ? e.name || e.textContent : ''";
        until(&format!("the focus is on {words:?}"), || {
            (self.run(script).as_str()?.trim() == words).then_some(())
        });
    }

    /// Keeps a picture of a page that the browser has nothing to say against; on a phone it must be as wide as the phone.
    #[track_caller]
    pub fn picture(&self, name: &str) {
        let png = self.screenshot().unwrap();
        self.album.keep(name, &png);
        if self.device == Device::PhoneWithoutScripts {
            let width = self.run("return Math.max(innerWidth, document.documentElement.scrollWidth)");
            assert_eq!(
                width,
                Device::PHONE_WIDTH,
                "{name} is wider than a phone, or was not laid out for one"
            );
        }
        // Refusals by the network's status are no complaints.
        let told = self.post("/se/log", &json!({ "type": "browser" }));
        let told = told.as_array().unwrap().iter();
        let complaints: Vec<_> = told.filter(|line| line["source"] != "network").collect();
        assert!(complaints.is_empty(), "{name}: {complaints:?}");
    }

    fn element(&self, css: &str) -> Option<String> {
        let found = self.ask(
            Method::POST,
            "/element",
            Some(&json!({ "using": "css selector", "value": css })),
        );
        Some(found.ok()?[ELEMENT].as_str()?.to_owned())
    }

    /// Runs a script of the test's, which also a browser does that runs none of the pages'.
    #[track_caller]
    fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    fn screenshot(&self) -> Result<Vec<u8>, String> {
        let text = self.ask(Method::GET, "/screenshot", None)?;
        let text = text.as_str().unwrap_or_default();
        BASE64_STANDARD.decode(text).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, None)
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.ask(Method::POST, path, Some(body))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        self.send(method, &format!("{}{path}", self.session), body)
    }

    fn send(&self, method: Method, url: &str, body: Option<&Value>) -> Result<Value, String> {
        let mut question = self.http.request(method, url).timeout(self.limit);
        if let Some(body) = body {
            question = question.body(body.to_string());
        }
        let (good, text) = self
            .runtime
            .block_on(async {
                let answer = question.send().await?;
                Ok((answer.status().is_success(), answer.text().await?))
            })
            .map_err(|error: reqwest::Error| error.to_string())?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        let value = answer["value"].take();
        if good {
            return Ok(value);
        }
        Err(format!("{}: {}", value["error"], value["message"]))
    }

    /// Every process that names our own directory: the driver's child and what it started.
    fn processes(&self) -> Vec<Pid> {
        let home = self.home.path().to_str().unwrap().to_owned();
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ours = ids.filter(|id| {
            let words = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words).contains(&home)
        });
        ours.filter_map(Pid::from_raw).collect()
    }
}

impl Drop for Chromium<'_> {
    fn drop(&mut self) {
        self.limit = LAST_ANSWERS_WITHIN;
        if std::thread::panicking() && !self.session.is_empty() {
            let url = self.ask(Method::GET, "/url", None).unwrap_or_default();
            eprintln!("a browser was at {url}:\n{}", self.text("body").unwrap_or_default());
            if let Ok(png) = self.screenshot() {
                self.album.keep("as-it-was-at-the-end", &png);
            }
        }
        if !self.session.is_empty() {
            let _ = self.ask(Method::DELETE, "", None);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        for id in self.processes() {
            let _ = kill_process(id, Signal::KILL);
        }
        // A process that is just ending may still write into its profile.
        let start = Instant::now();
        while std::fs::remove_dir_all(self.home.path()).is_err() && start.elapsed() < GONE_WITHIN {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The port that the driver took, when it has said so.
fn port_in(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("started successfully on port ")?;
    rest.split_once('.')?.0.parse().ok()
}
