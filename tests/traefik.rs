//! Routes through a real Traefik in the host's network: each to its own seat, and behind a gateway to nobody else.

mod lab;
mod proxy;

use lab::{Lab, docker};
use proxy::{ClosedDoor, Page, SERVER, Traefik};

/// A laboratory with an open and a closed template of that server, and the given settings before them.
fn lab(settings: &str) -> Lab {
    let template = |name: &str, network: &str| {
        format!(
            "[templates.{name}]\nimage = \"labtop-demo:latest\"\ncommand = [\"/bin/sh\", \"-c\", '''{SERVER}''']\n\
             port = 8080\nmemory = \"32MiB\"\ncpus = 0.5\npids = 32\nnetwork = \"{network}\"\n"
        )
    };
    let templates = template("open", "open") + &template("closed", "closed");
    Lab::with_config(&format!("default_template = \"open\"\n{settings}\n{templates}"))
}

/// A laboratory whose gateway is at this door.
fn guarded(door: &ClosedDoor) -> Lab {
    lab(&format!("[gateway]\nlisten = \"127.0.0.1:{}\"", door.port))
}

/// Whether the network of a room lets nothing out.
fn is_internal(lab: &Lab, room: &str) -> bool {
    let network = format!("lab-{}_{room}", &lab.instance().unwrap()[..8]);
    docker(&["network", "inspect", "-f", "{{.Internal}}", &network]) == "true"
}

#[track_caller]
fn is_of_seat(page: &Page, seat: &str, path: &str) {
    let heard = format!("seat {seat} heard GET {path} HTTP/1.1");
    assert!(page.status == 200 && page.text.contains(&heard), "{path}: {page:?}");
}

#[track_caller]
fn is_of_nobody(page: &Page, path: &str) {
    assert!(page.status >= 400 && !page.text.contains("seat "), "{path}: {page:?}");
}

#[test]
fn each_seat_answers_on_its_own_route_and_on_no_other() {
    let lab = lab("[routing]\nauth = \"none\"");
    let (long, longer) = (format!("Z{}", ".".repeat(63)), format!("Z{}_", ".".repeat(62)));
    let students = [
        "ann", "Ann", "ANN", "A.b-c_d", "A.b-c-d", "A_b-c_d", "a.b-c_d", "a.b", "a_2eb", "a-2eb", &long, &longer,
    ];
    lab.run(&["room", "open", "r", "--students", &students.join(",")])
        .expect(0);
    lab.run(&["room", "open", "n-1", "--seats", "2", "--template", "closed"])
        .expect(0);
    // Who sits in two rooms has a longer route in the second.
    lab.run(&["room", "open", "r2", "--students", "ann", "--template", "closed"])
        .expect(0);
    assert!(!is_internal(&lab, "r") && is_internal(&lab, "n-1") && is_internal(&lab, "r2"));

    let traefik = Traefik::before(&lab);
    let mut routes: Vec<(String, String)> = students
        .iter()
        .map(|student| (format!("/api/r/{student}"), format!("r/{student}")))
        .collect();
    for (route, seat) in [("n-1~s01", "n-1/s01"), ("n-1~s02", "n-1/s02"), ("r2~ann", "r2/ann")] {
        routes.push((format!("/api/r/{route}"), seat.to_owned()));
    }
    for (route, seat) in &routes {
        is_of_seat(&traefik.get_routed(route), seat, route);
        for below in ["/", "/a/b.js?q=1"] {
            let path = format!("{route}{below}");
            is_of_seat(&traefik.get(&path), seat, &path);
        }
        let upgraded = traefik.upgrade(route);
        assert!(
            upgraded.status == 101 && upgraded.text.contains(&format!("seat {seat} ")),
            "{upgraded:?}"
        );
    }
    // All routes are there by now; what is next to them leads nowhere.
    for path in [
        "/api/r/annh",
        "/api/r/annh/",
        "/api/r/an",
        "/api/r/aNN",
        "/api/r/A.b-c.d",
        "/api/r/A%2Eb-c",
        "/api/r/s01",
        "/api/r/n-1~s03",
        "/api/r/n-1~s011",
        "/api/r/n-2~s01",
        "/api/r/r~ann",
        "/api/r/",
        "/ann",
        "/",
    ] {
        is_of_nobody(&traefik.get(path), path);
    }
}

#[test]
fn without_its_gateway_a_route_answers_nobody() {
    let door = ClosedDoor::new();
    let lab = guarded(&door);
    lab.run(&["room", "open", "r", "--students", "ann", "--template", "closed"])
        .expect(0);
    lab.run(&["room", "open", "n", "--seats", "1"]).expect(0);
    let traefik = Traefik::before(&lab);
    for route in ["/api/r/ann", "/api/r/n~s01"] {
        is_of_nobody(&traefik.get_routed(route), route);
        for path in [route.to_owned(), format!("{route}/"), format!("{route}/ws")] {
            is_of_nobody(&traefik.get(&path), &path);
            is_of_nobody(&traefik.upgrade(&path), &path);
        }
    }
    // With somebody there the very same routes lead to the seats: it was the gateway that was missing, not the route.
    let doorman = door.open();
    doorman.says(200);
    is_of_seat(&traefik.get("/api/r/ann"), "r/ann", "/api/r/ann");
    is_of_seat(&traefik.get("/api/r/n~s01"), "n/s01", "/api/r/n~s01");
}

#[test]
fn the_gateway_is_asked_for_the_very_seat_and_has_the_last_word() {
    let door = ClosedDoor::new();
    let lab = guarded(&door);
    let doorman = door.open();
    let students = ["ann", "Ann", "a.b", "a_2eb"];
    lab.run(&["room", "open", "r", "--students", &students.join(",")])
        .expect(0);
    let mark = lab.instance().unwrap()[..8].to_owned();
    let traefik = Traefik::before(&lab);
    for (student, slug) in students.iter().zip(["ann", "_41nn", "a_2eb", "a_5f2eb"]) {
        let route = format!("/api/r/{student}");
        doorman.says(401);
        is_of_nobody(&traefik.get_routed(&route), &route);
        doorman.was_asked();
        assert_eq!(traefik.get(&route).status, 401);
        assert_eq!(traefik.upgrade(&route).status, 401);
        let verify = format!("/auth/verify/lab-{mark}_r_{slug}");
        assert_eq!(doorman.was_asked(), [verify.clone(), verify.clone()]);
        doorman.says(200);
        is_of_seat(&traefik.get(&route), &format!("r/{student}"), &route);
        assert_eq!(traefik.upgrade(&route).status, 101);
        assert_eq!(doorman.was_asked(), [verify.clone(), verify]);
    }
}

#[test]
fn an_exam_answers_on_its_routes_though_nothing_gets_out() {
    let door = ClosedDoor::new();
    let lab = guarded(&door);
    lab.run(&[
        "room",
        "open",
        "final",
        "--students",
        "ann,bob",
        "--exam",
        "--template",
        "open",
    ])
    .expect(0);
    assert!(is_internal(&lab, "final"));
    let traefik = Traefik::before(&lab);
    is_of_nobody(&traefik.get_routed("/api/r/ann"), "/api/r/ann");
    is_of_nobody(&traefik.get_routed("/api/r/bob"), "/api/r/bob");
    let doorman = door.open();
    doorman.says(200);
    is_of_seat(&traefik.get("/api/r/ann/"), "final/ann", "/api/r/ann/");
    is_of_seat(&traefik.get("/api/r/bob/"), "final/bob", "/api/r/bob/");
}
