//! What the stub's engine has: images, networks, volumes, containers, and its record of what happened to them. Answers
//! one request at a time, in Docker's words, from memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::http::Request;

/// The label that says what a thing of labtop's is.
const KIND: &str = "io.labtop.kind";
/// Docker's time of what never happened.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// CPU time of every container that was started once, nanoseconds.
const CPU_NS: u64 = 7_000_000;

/// Labels, as JSON has them.
type Labels = Map<String, Value>;

/// What is sent back.
pub enum Answer {
    Json(u16, Value),
    Bytes(Vec<u8>),
    /// Events from that number on, of what the filters let through.
    Events(usize, Filters),
    /// The reports of a pull of that image.
    Pull(String, Vec<Value>),
}

/// The state of a container, in Docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Created,
    Running,
    Paused,
    Exited,
}

#[derive(Debug)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub labels: Labels,
    pub state: State,
    /// The name of its network.
    network: String,
    image: String,
    /// Volume and place of each mount.
    mounts: Vec<(String, String)>,
    started_at: String,
    finished_at: String,
}

impl Container {
    pub fn is_seat(&self) -> bool {
        self.labels.get(KIND) == Some(&json!("seat"))
    }

    /// The student whose seat it is.
    pub fn student(&self) -> &str {
        self.labels["io.labtop.student"].as_str().unwrap_or_default()
    }
}

#[derive(Debug)]
struct Volume {
    labels: Labels,
    /// Whether a program has worked in it.
    used: bool,
}

/// What a request asks for: each condition names the values of which one must be there.
#[derive(Debug, Default)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    fn of(request: &Request) -> Self {
        Self(serde_json::from_str(request.query("filters")).unwrap_or_default())
    }

    fn labelled(&self, labels: &Labels) -> bool {
        let bears = |wanted: &String| {
            let (key, value) = wanted.split_once('=').unwrap_or((wanted, ""));
            labels.get(key).is_some_and(|found| found == value)
        };
        self.0.get("label").is_none_or(|wanted| wanted.iter().all(bears))
    }

    /// Whether an event is one that was asked for. All events are of containers.
    pub fn pass(&self, event: &Value) -> bool {
        let actor = &event["Actor"];
        let id = actor["ID"].as_str().unwrap_or_default();
        let attributes = actor["Attributes"].as_object().cloned().unwrap_or_default();
        let named = |ids: &Vec<String>| ids.iter().any(|wanted| wanted == id);
        self.0.get("container").is_none_or(named) && self.labelled(&attributes)
    }
}

/// Everything on the engine, and everything that was asked of it.
#[derive(Debug, Default)]
pub struct World {
    /// Every request that came, also those that are held.
    pub requests: Vec<Arc<Request>>,
    pub images: BTreeSet<String>,
    /// What a pull of an image reports; the last report may be its failure.
    pub registry: BTreeMap<String, Vec<Value>>,
    /// By id.
    pub containers: BTreeMap<String, Container>,
    /// What happened, oldest first.
    pub events: Vec<Value>,
    /// Seats between the request to create them and the answer to the request to start them, by name.
    pub making: BTreeSet<String>,
    /// The most of these at any time.
    pub most_making: usize,
    volumes: BTreeMap<String, Volume>,
    /// By id.
    networks: BTreeMap<String, Value>,
    made: u64,
    clock_ns: i128,
}

fn ok(value: Value) -> Answer {
    Answer::Json(200, value)
}

fn done() -> Answer {
    Answer::Json(204, Value::Null)
}

pub fn refusal(status: u16, message: impl Into<String>) -> Answer {
    Answer::Json(status, json!({ "message": message.into() }))
}

impl World {
    /// How many requests came that are as described.
    pub fn count(&self, which: impl Fn(&Request) -> bool) -> usize {
        self.requests.iter().filter(|request| which(request)).count()
    }

    /// The containers of seats.
    pub fn seats(&self) -> impl Iterator<Item = &Container> {
        self.containers.values().filter(|container| container.is_seat())
    }

    /// Everything that somebody made, but images.
    pub fn things(&self) -> usize {
        self.containers.len() + self.volumes.len() + self.networks.len()
    }

    /// Takes a container away without a word.
    pub fn lose(&mut self, id: &str) {
        self.containers.remove(id);
    }

    /// Ends a container's program, as if by itself.
    pub fn end(&mut self, id: &str) {
        self.kill(id);
    }

    /// Notes a request, before it is held or answered.
    pub fn note(&mut self, request: &Arc<Request>) {
        if creates_seat(request) {
            self.making.insert(request.query("name").to_owned());
            self.most_making = self.most_making.max(self.making.len());
        }
        self.requests.push(Arc::clone(request));
    }

    /// Notes that a request was answered so.
    pub fn answered(&mut self, request: &Request, status: u16) {
        if creates_seat(request) && status >= 300 {
            self.making.remove(request.query("name"));
        }
        if let ("POST", ["containers", id, "start"]) = (request.method.as_str(), parts(&request.path).as_slice())
            && let Some(container) = self.containers.get(*id)
        {
            self.making.remove(&container.name);
        }
    }

    pub fn answer(&mut self, request: &Request) -> Answer {
        let parts = parts(&request.path);
        match (request.method.as_str(), parts.as_slice()) {
            ("GET" | "HEAD", ["_ping"]) => Answer::Bytes(b"OK".to_vec()),
            ("GET", ["info"]) => ok(json!({ "SystemTime": self.now() })),
            ("GET", ["events"]) => self.events_since(request),
            ("GET", ["containers", "json"]) => self.list_containers(&Filters::of(request)),
            ("POST", ["containers", "create"]) => self.create_container(request),
            ("GET", ["volumes"]) => self.list_volumes(&Filters::of(request)),
            ("POST", ["volumes", "create"]) => self.create_volume(&request.json()),
            ("GET", ["volumes", name]) => self.inspect_volume(name),
            ("DELETE", ["volumes", name]) => self.remove_volume(name),
            ("GET", ["networks"]) => self.list_networks(&Filters::of(request)),
            ("POST", ["networks", "create"]) => self.create_network(&request.json()),
            ("DELETE", ["networks", id]) => self.remove_network(id),
            ("POST", ["images", "create"]) => self.create_image(request),
            ("GET", ["images", name @ .., "json"]) => self.inspect_image(&name.join("/")),
            (method, ["containers", id, rest @ ..]) => match self.find(id) {
                Some(id) => self.of_container(method, &id, rest, request),
                None => refusal(404, format!("No such container: {id}")),
            },
            _ => refusal(404, "page not found"),
        }
    }

    fn find(&self, id_or_name: &str) -> Option<String> {
        let of = |container: &&Container| container.id == id_or_name || container.name == id_or_name;
        Some(self.containers.values().find(of)?.id.clone())
    }

    /// The engine's clock, which never tells one time twice.
    fn now(&mut self) -> String {
        self.clock_ns = jiff::Timestamp::now().as_nanosecond().max(self.clock_ns + 1);
        jiff::Timestamp::from_nanosecond(self.clock_ns).unwrap().to_string()
    }

    fn next_id(&mut self) -> String {
        self.made += 1;
        format!("{:064x}", self.made)
    }

    fn happen(&mut self, id: &str, action: &str) {
        self.now();
        let (ns, container) = (self.clock_ns, &self.containers[id]);
        let mut attributes = container.labels.clone();
        attributes.insert("name".into(), json!(container.name));
        if action == "kill" {
            attributes.insert("signal".into(), json!("9"));
        }
        self.events.push(json!({
            "Type": "container", "Action": action, "Actor": { "ID": id, "Attributes": attributes },
            "time": i64::try_from(ns / 1_000_000_000).unwrap(), "timeNano": i64::try_from(ns).unwrap(),
        }));
    }

    fn events_since(&self, request: &Request) -> Answer {
        let (seconds, nanos) = request.query("since").split_once('.').unwrap_or(("0", "0"));
        let number = |text: &str| text.parse::<i64>().unwrap_or_default();
        let since = number(seconds) * 1_000_000_000 + number(nanos);
        let old = |event: &Value| event["timeNano"].as_i64() < Some(since);
        Answer::Events(self.events.partition_point(old), Filters::of(request))
    }

    fn list_containers(&self, filters: &Filters) -> Answer {
        let found = self.containers.values().filter(|one| filters.labelled(&one.labels));
        let row = |one: &Container| json!({ "Id": one.id, "Names": [format!("/{}", one.name)], "Labels": one.labels });
        ok(found.map(row).collect())
    }

    fn create_container(&mut self, request: &Request) -> Answer {
        let (name, body) = (request.query("name"), request.json());
        let image = body["Image"].as_str().unwrap_or_default();
        if let Some(id) = self.find(name) {
            let why = format!("Conflict. The container name \"/{name}\" is already in use by container \"{id}\".");
            return refusal(409, why);
        }
        if !self.images.contains(image) {
            return refusal(404, format!("No such image: {image}"));
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let config = &body["HostConfig"];
        let mounts = config["Mounts"].as_array().into_iter().flatten();
        let id = self.next_id();
        let container = Container {
            id: id.clone(),
            name: name.to_owned(),
            labels: body["Labels"].as_object().cloned().unwrap_or_default(),
            state: State::Created,
            network: text(&config["NetworkMode"]),
            image: image.to_owned(),
            mounts: mounts
                .map(|mount| (text(&mount["Source"]), text(&mount["Target"])))
                .collect(),
            started_at: NEVER.into(),
            finished_at: NEVER.into(),
        };
        self.containers.insert(id.clone(), container);
        self.happen(&id, "create");
        Answer::Json(201, json!({ "Id": id, "Warnings": [] }))
    }

    fn of_container(&mut self, method: &str, id: &str, rest: &[&str], request: &Request) -> Answer {
        let state = self.containers[id].state;
        match (method, rest, state) {
            ("GET", ["json"], _) => self.inspect_container(id),
            ("GET", ["stats"], _) => self.stats(id),
            ("GET", ["archive"], _) => self.read_archive(id, request.query("path")),
            ("PUT", ["archive"], _) => {
                self.happen(id, "extract-to-dir");
                ok(Value::Null)
            }
            ("POST", ["start"], State::Created | State::Exited) => self.start(id),
            ("POST", ["start"], _) => Answer::Json(304, Value::Null),
            ("POST", ["pause"], State::Running) => self.becomes(id, State::Paused, "pause"),
            ("POST", ["unpause"], State::Paused) => self.becomes(id, State::Running, "unpause"),
            ("POST", ["kill"], State::Running | State::Paused) => self.kill(id),
            ("POST", ["restart"], State::Running) => {
                self.kill(id);
                self.start(id)
            }
            ("DELETE", [], State::Created | State::Exited) => {
                self.happen(id, "destroy");
                self.containers.remove(id);
                done()
            }
            ("POST" | "DELETE", _, _) => refusal(409, format!("Container {id} is {state:?}")),
            _ => refusal(404, "page not found"),
        }
    }

    fn becomes(&mut self, id: &str, state: State, action: &str) -> Answer {
        self.containers.get_mut(id).unwrap().state = state;
        self.happen(id, action);
        done()
    }

    fn start(&mut self, id: &str) -> Answer {
        let now = self.now();
        let container = self.containers.get_mut(id).unwrap();
        container.started_at = now;
        for (volume, _) in &container.mounts {
            self.volumes.get_mut(volume).unwrap().used = true;
        }
        self.becomes(id, State::Running, "start")
    }

    /// Docker thaws what it kills.
    fn kill(&mut self, id: &str) -> Answer {
        let frozen = self.containers[id].state == State::Paused;
        self.happen(id, "kill");
        if frozen {
            self.happen(id, "unpause");
        }
        let now = self.now();
        self.containers.get_mut(id).unwrap().finished_at = now;
        self.becomes(id, State::Exited, "die")
    }

    fn inspect_container(&self, id: &str) -> Answer {
        let one = &self.containers[id];
        let status = format!("{:?}", one.state).to_lowercase();
        // No process of this host is a seat's: labtop would read its figures, and end it.
        let state = json!({ "Status": status, "Pid": 0, "StartedAt": one.started_at, "FinishedAt": one.finished_at });
        ok(json!({
            "Id": id, "Name": format!("/{}", one.name), "State": state,
            "Config": { "Labels": one.labels, "Image": one.image },
            "NetworkSettings": { "Networks": { &one.network: { "IPAddress": "" } } },
        }))
    }

    fn stats(&self, id: &str) -> Answer {
        let up = matches!(self.containers[id].state, State::Running | State::Paused);
        let used = if up { CPU_NS } else { 0 };
        ok(json!({ "cpu_stats": { "cpu_usage": { "total_usage": used } }, "pids_stats": { "current": 1 } }))
    }

    /// The directory where a volume is mounted; no image has anything there.
    fn read_archive(&self, id: &str, path: &str) -> Answer {
        let mount = self.containers[id].mounts.iter().find(|(_, target)| target == path);
        let Some(volume) = mount.and_then(|(volume, _)| self.volumes.get(volume)) else {
            return refusal(404, format!("Could not find the file {path} in container {id}"));
        };
        let root = path.rsplit('/').next().unwrap_or_default();
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |kind, name: String, content: &str| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o755);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content.as_bytes()).unwrap();
        };
        add(tar::EntryType::Directory, format!("{root}/"), "");
        if volume.used {
            let student = volume.labels["io.labtop.student"].as_str().unwrap_or_default();
            add(
                tar::EntryType::Regular,
                format!("{root}/id.txt"),
                &format!("work of {student}\n"),
            );
        }
        Answer::Bytes(tar.into_inner().unwrap())
    }

    fn list_volumes(&self, filters: &Filters) -> Answer {
        let found = self.volumes.iter().filter(|(_, one)| filters.labelled(&one.labels));
        let rows: Vec<Value> = found.map(|(name, one)| volume_row(name, one)).collect();
        ok(json!({ "Volumes": rows, "Warnings": [] }))
    }

    /// A volume that is there keeps the labels of whoever made it first.
    fn create_volume(&mut self, body: &Value) -> Answer {
        let name = body["Name"].as_str().unwrap_or_default();
        let labels = body["Labels"].as_object().cloned().unwrap_or_default();
        let made = Volume { labels, used: false };
        let volume = self.volumes.entry(name.to_owned()).or_insert(made);
        Answer::Json(201, volume_row(name, volume))
    }

    fn inspect_volume(&self, name: &str) -> Answer {
        match self.volumes.get(name) {
            Some(volume) => ok(volume_row(name, volume)),
            None => refusal(404, format!("get {name}: no such volume")),
        }
    }

    fn remove_volume(&mut self, name: &str) -> Answer {
        let uses = |one: &Container| one.mounts.iter().any(|(volume, _)| volume == name);
        if self.containers.values().any(uses) {
            return refusal(409, format!("remove {name}: volume is in use"));
        }
        match self.volumes.remove(name) {
            Some(_) => done(),
            None => refusal(404, format!("get {name}: no such volume")),
        }
    }

    fn list_networks(&self, filters: &Filters) -> Answer {
        let asked = |network: &&Value| filters.labelled(&network["Labels"].as_object().cloned().unwrap_or_default());
        ok(self.networks.values().filter(asked).cloned().collect())
    }

    fn create_network(&mut self, body: &Value) -> Answer {
        if self.networks.values().any(|network| network["Name"] == body["Name"]) {
            return refusal(409, format!("network with name {} already exists", body["Name"]));
        }
        let id = self.next_id();
        let mut network = body.clone();
        network["Id"] = json!(id);
        self.networks.insert(id.clone(), network);
        Answer::Json(201, json!({ "Id": id, "Warning": "" }))
    }

    fn remove_network(&mut self, id: &str) -> Answer {
        let Some(network) = self.networks.get(id) else {
            return refusal(404, format!("network {id} not found"));
        };
        let uses = |one: &Container| network["Name"] == one.network.as_str() && one.state == State::Running;
        if self.containers.values().any(uses) {
            return refusal(
                403,
                format!("error while removing network: network {id} has active endpoints"),
            );
        }
        self.networks.remove(id);
        done()
    }

    /// A pull, or an import of a root file system.
    fn create_image(&mut self, request: &Request) -> Answer {
        let image = request.query("fromImage");
        if image.is_empty() {
            let name = format!("{}:{}", request.query("repo"), request.query("tag"));
            self.images.insert(name);
            return ok(json!({ "status": "sha256:0" }));
        }
        match self.registry.get(image) {
            Some(reports) => Answer::Pull(image.to_owned(), reports.clone()),
            None => refusal(
                404,
                format!("pull access denied for {image}, repository does not exist"),
            ),
        }
    }

    fn inspect_image(&self, name: &str) -> Answer {
        if self.images.contains(name) {
            return ok(json!({ "Id": format!("sha256:{name}"), "RepoTags": [name], "Config": {} }));
        }
        refusal(404, format!("No such image: {name}"))
    }
}

fn creates_seat(request: &Request) -> bool {
    request.is("POST", "/containers/create") && request.json()["Labels"][KIND] == "seat"
}

fn volume_row(name: &str, volume: &Volume) -> Value {
    let place = format!("/var/lib/docker/volumes/{name}/_data");
    let labels = &volume.labels;
    json!({ "Name": name, "Driver": "local", "Mountpoint": place, "Labels": labels, "Scope": "local", "Options": {} })
}

fn parts(path: &str) -> Vec<&str> {
    path.trim_start_matches('/').split('/').collect()
}
