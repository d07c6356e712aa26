//! Seats' routes in every way that there is: out of labels or from the gateway, by path or by host, ready when the proxy
//! says so, and found again when it has forgotten them. With real Traefiks, started as `labtop traefik-config` says.

mod door;
mod lab;
mod proxy;
mod students;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use door::Door;
use lab::{Lab, docker, until, until_within};
use proxy::{SERVER, Traefik};
use students::{Browser, Gateway, codes, free_port, lab_before, roster};

/// A proxy may be found gone after two rounds, and a seat be asked for again for seconds.
const FOUND_WITHIN: Duration = Duration::from_mins(1);

/// A laboratory with its gateway, and the port at which its proxy will be.
struct Scene {
    lab: Lab,
    gateway: Gateway,
    front: u16,
}

/// With `routing` in its configuration; `PORT` is the proxy's.
fn scene(routing: &str, gateway: &str) -> Scene {
    scene_of(SERVER, routing, gateway)
}

/// The same with another program in its seats.
fn scene_of(program: &str, routing: &str, gateway: &str) -> Scene {
    let (port, front) = (free_port(), free_port());
    let settings = format!("[routing]\n{routing}\n").replace("PORT", &front.to_string());
    let address = format!("127.0.0.1:{front}");
    let gateway = format!("traefik_url = \"http://{address}\"\n{gateway}").replace("PORT", &front.to_string());
    let lab = lab_before(port, program, &settings, "");
    let config = lab.path().join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + &gateway).unwrap();
    // The first verb starts the agent, which the gateway needs.
    lab.run(&["ls"]).expect(4);
    lab.run(&["doctor"]);
    let gateway = Gateway::of(&lab, port);
    Scene { lab, gateway, front }
}

impl Scene {
    /// The phase of the only room's only seat.
    fn phase(&self) -> String {
        self.lab.ls()[0]["phase"].as_str().unwrap().to_owned()
    }

    fn labels(&self, student: &str) -> String {
        let id = self.lab.seat("final", student)["container_id"].clone();
        docker(&["inspect", "--format", "{{json .Config.Labels}}", id.as_str().unwrap()])
    }

    /// What a seat says that has heard a question.
    fn heard(student: &str, path: &str) -> String {
        format!("seat final/{student} heard GET {path} HTTP/1.1")
    }
}

#[test]
fn a_proxy_without_the_engines_socket_reads_all_routes_from_the_gateway() {
    let scene = scene("provider = \"http\"\nprobe = \"traefik\"\nstrip_prefix = true", "");
    let printed = scene.lab.run(&["traefik-config"]).expect(0).stdout;
    assert!(!printed.contains("docker"), "{printed}");
    let traefik = Traefik::by_config(&scene.lab, scene.front);
    let file = roster(&scene.lab, "id,name\nan,Ánh\nbinh,Bình\n");
    scene
        .lab
        .run(&["room", "open", "final", "--roster", &file, "--exam"])
        .expect(0);
    assert!(!scene.labels("an").contains("traefik."), "never in two places");

    let codes = codes(&scene.lab, "final");
    let (mut an, mut binh) = (Browser::new(traefik.port()), Browser::new(traefik.port()));
    assert_eq!(an.get("/").location(), "/seat");
    an.sign_in("an", &codes["an"]);
    binh.sign_in("binh", &codes["binh"]);
    // Ready means that the route is there.
    let own = an.get("/api/r/an/x?y=1");
    assert!(own.text.contains(&Scene::heard("an", "/x?y=1")), "{own:?}");
    assert!(!own.text.contains("labtop_session"), "{own:?}");
    assert_eq!(binh.get("/api/r/an/").status, 403);
    assert_eq!(Browser::new(traefik.port()).get("/api/r/an/").status, 401);
    for path in ["/api/r/an/../binh/", "/api/r/binh", "/api/r/BINH/", "/api/r//binh/"] {
        let answer = an.get(path);
        assert!(!answer.text.contains("seat final/binh"), "{path}: {answer:?}");
    }
    assert_eq!(
        traefik.upgrade("/api/r/an/").status,
        401,
        "nobody is let in without a session"
    );
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgraded = an.get_with("/api/r/an/ws", upgrade);
    assert!(
        upgraded.status == 101 && upgraded.text.contains(&Scene::heard("an", "/ws")),
        "{upgraded:?}"
    );
    assert_eq!(binh.get_with("/api/r/an/ws", upgrade).status, 403);

    scene.lab.run(&["room", "close", "final", "--yes"]).expect(0);
    until("the route is gone, and a page says where to go", || {
        let gone = an.get_with("/api/r/an/", "Accept: text/html\r\n");
        (gone.status == 404 && gone.text.contains("No seat here") && gone.text.contains("href=\"/seat\"")).then_some(())
    });
}

#[test]
fn a_seat_is_ready_when_its_route_answers_and_not_any_more_when_it_does_not() {
    for provider in ["docker", "http"] {
        let scene = scene(&format!("provider = \"{provider}\"\nprobe = \"traefik\""), "");
        let open = ["room", "open", "final", "--students", "an", "--detach"];
        scene.lab.run(&open).expect(0);
        // Without a proxy it runs, and is not ready.
        until("the seat's container runs", || {
            (!scene.lab.ls().is_empty() && !scene.lab.ls()[0]["container_id"].is_null()).then_some(())
        });
        assert_ne!(scene.phase(), "ready");
        let traefik = Traefik::by_config(&scene.lab, scene.front);
        let becomes = |what: &str, wanted: &str| {
            until_within(what, FOUND_WITHIN, || (scene.phase() == wanted).then_some(()));
        };
        becomes("the route is there", "ready");
        drop(traefik);
        until_within("the lost route is found", FOUND_WITHIN, || {
            (scene.phase() != "ready").then_some(())
        });
        let _traefik = Traefik::by_config(&scene.lab, scene.front);
        becomes("the route is there again", "ready");
        scene.lab.run(&["room", "close", "final", "--yes"]).expect(0);
    }
}

#[test]
fn after_a_restart_of_the_engine_every_route_leads_to_its_own_seat_and_never_to_anothers() {
    for provider in ["docker", "http"] {
        let mut door = Door::honest();
        let routing = format!("provider = \"{provider}\"\nprobe = \"traefik\"\n{}", door.config());
        let scene = scene(&routing, "");
        let traefik = Traefik::by_config(&scene.lab, scene.front);
        let file = roster(&scene.lab, "id,name\nan,Ánh\nbinh,Bình\n");
        scene.lab.run(&["room", "open", "final", "--roster", &file]).expect(0);
        let codes = codes(&scene.lab, "final");
        let browsers = ["an", "binh"].map(|student| {
            let mut browser = Browser::new(traefik.port());
            browser.sign_in(student, &codes[student]);
            (student, browser)
        });
        let ids = ["an", "binh"].map(|student| {
            let id = scene.lab.seat("final", student)["container_id"].clone();
            id.as_str().unwrap().to_owned()
        });
        // Neither labtop nor Traefik hears of it: the seats end, and come back in another order.
        door.close();
        docker(&["stop", "-t", "0", &ids[0], &ids[1]]);
        docker(&["start", &ids[1], &ids[0]]);
        let own_or_nobodys = || {
            let pages = browsers.iter().map(|(student, browser)| {
                let page = browser.get(&format!("/api/r/{student}/"));
                let own = page
                    .text
                    .contains(&Scene::heard(student, &format!("/api/r/{student}/")));
                assert!(own || !page.text.contains("heard"), "{student}: {page:?}");
                own
            });
            pages.collect::<Vec<_>>() == [true, true]
        };
        own_or_nobodys();
        door.open();
        until_within("every route leads to its own seat again", FOUND_WITHIN, || {
            // As long as the engine is away to it, a list says so.
            let list = scene.lab.run(&["ls", "--json"]);
            let ready = list.code == 0 && list.stdout.matches("\"phase\": \"ready\"").count() == 2;
            (own_or_nobodys() && ready).then_some(())
        });
        scene.lab.run(&["room", "close", "final", "--yes"]).expect(0);
    }
}

/// A seat's program that takes an upgrade and then says again whatever it hears, for as long as somebody is there.
const ECHO: &str = r"
cat >/tmp/answer <<END
while read -r header; do
    case \$header in
    ?) break ;;
    esac
done
printf 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
exec cat
END
exec nc -ll -p 8080 -e /bin/sh /tmp/answer
";

#[test]
fn whoever_is_signed_out_is_cut_off_also_where_they_are_already() {
    let scene = scene_of(ECHO, "probe = \"traefik\"", "");
    let traefik = Traefik::by_config(&scene.lab, scene.front);
    scene.lab.run(&["room", "open", "final", "--students", "an"]).expect(0);
    let code = codes(&scene.lab, "final").remove("an").unwrap();
    let mut an = Browser::new(traefik.port());
    an.sign_in("an", &code);
    let mut line = an.upgraded("/api/r/an/ws");
    let mut word = [0; 4];
    line.write_all(b"one\n").unwrap();
    line.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"one\n");

    scene.lab.run(&["sessions", "revoke", "final/an"]).expect(0);
    let since = Instant::now();
    // Whoever listens hears the end, without a word of their own; nobody waits as long as the reading may.
    let ends = |line: &mut TcpStream, since: Instant| {
        let end = line.read(&mut [0]);
        let cut = matches!(end, Ok(0) | Err(_)) && since.elapsed() < Duration::from_secs(10);
        assert!(cut, "{end:?} after {:?}", since.elapsed());
    };
    ends(&mut line, since);
    // The student comes back, and a second sign-in elsewhere cuts the first.
    an.sign_in("an", &code);
    let mut line = an.upgraded("/api/r/an/ws");
    let since = Instant::now();
    Browser::new(traefik.port()).sign_in("an", &code);
    ends(&mut line, since);
    scene.lab.run(&["room", "close", "final", "--yes"]).expect(0);
}

#[test]
fn seats_with_hosts_of_their_own_open_to_their_students_alone() {
    for provider in ["docker", "http"] {
        let routing = format!("rule = \"host\"\ndomain = \"lab.test\"\nprovider = \"{provider}\"\nprobe = \"traefik\"");
        let scene = scene(&routing, "public_url = \"http://lab.test:PORT\"\n");
        let traefik = Traefik::by_config(&scene.lab, scene.front);
        let file = roster(&scene.lab, "id,name\nan,Ánh\nAn.B,An B\n");
        scene.lab.run(&["room", "open", "final", "--roster", &file]).expect(0);
        let route = |student: &str| scene.lab.seat("final", student)["route"].as_str().unwrap().to_owned();
        let (own, other) = (route("an"), route("An.B"));
        assert_eq!(own, "//an-final.lab.test");
        let other = other.strip_prefix("//").unwrap();
        assert!(
            other.len() == 41 + ".lab.test".len() && other.starts_with('s'),
            "{other}"
        );
        assert_eq!(
            scene.labels("an").contains("Host(`an-final.lab.test`)"),
            provider == "docker"
        );

        let codes = codes(&scene.lab, "final");
        let port = traefik.port();
        let nobody = Browser::new(port);
        let turned_away = nobody.get_at("an-final.lab.test", "/x?y=1");
        let login = format!("http://lab.test:{port}/login?next=//an-final.lab.test%3A{port}/x%3Fy%3D1");
        assert_eq!(turned_away.location(), login, "{turned_away:?}");

        let mut an = Browser::new(port);
        let signed = sign_in_to(&mut an, &codes["an"], &format!("//an-final.lab.test:{port}/x?y=1"));
        assert_eq!(signed.location(), format!("//an-final.lab.test:{port}/x?y=1"));
        assert!(
            signed.headers["set-cookie"].ends_with("; Domain=lab.test"),
            "{signed:?}"
        );
        let page = an.get_with("/seat", "Accept: text/html\r\n");
        let link = format!("href=\"//an-final.lab.test:{port}/\"");
        assert!(page.text.contains(&link), "{page:?}");
        assert!(
            page.headers["content-security-policy"].contains("form-action 'self' *.lab.test:*"),
            "{page:?}"
        );
        // Everything at the host is the seat's, also what is a page of the gateway's elsewhere.
        for path in ["/", "/x", "/login", "/seat", "/traefik/config"] {
            let answer = an.get_at("an-final.lab.test", path);
            assert!(answer.text.contains(&Scene::heard("an", path)), "{path}: {answer:?}");
            assert!(!answer.text.contains("labtop_session"), "{answer:?}");
        }
        assert_eq!(an.get_at(other, "/").status, 403);
        for host in [
            "an-final.lab.test.",
            "AN-FINAL.LAB.TEST",
            "An.B-final.lab.test",
            "x.an-final.lab.test",
        ] {
            let answer = an.get_at(host, "/");
            assert!(!answer.text.contains("seat final/An.B"), "{host}: {answer:?}");
        }
        let gone = nobody.get_at("zz-final.lab.test", "/login");
        assert_eq!(gone.status, 404);
        assert!(
            gone.text.contains(&format!("href=\"http://lab.test:{port}/seat\"")),
            "{gone:?}"
        );
        // Nobody is sent to anywhere but their own seat.
        for next in [
            "//evil.test/".to_owned(),
            format!("//{other}:{port}/"),
            format!("//an-final.lab.test:{port}.evil.test/"),
            format!("//an-final.lab.test:{port}@evil.test/"),
            "//an-final.lab.test/".to_owned(),
            format!("http://an-final.lab.test:{port}/"),
        ] {
            let mut again = Browser::new(port);
            let location = sign_in_to(&mut again, &codes["an"], &next).location().to_owned();
            assert!(location.starts_with("/seat"), "{next}: {location}");
        }
        assert_eq!(scene.gateway.port, scene.gateway.address().port());
        scene.lab.run(&["room", "close", "final", "--yes"]).expect(0);
    }
}

/// Signs in as `an`, wishing to go on somewhere. Whoever was signed in is forgotten first.
fn sign_in_to(an: &mut Browser, code: &str, next: &str) -> students::Answer {
    let form = [("student", "an"), ("code", code), ("next", next)];
    let signed = an.post("/login", &form, "");
    let cookie = signed.headers.get("set-cookie").unwrap_or_else(|| panic!("{signed:?}"));
    an.token = cookie.split([';', '=']).nth(1).map(str::to_owned);
    signed
}
