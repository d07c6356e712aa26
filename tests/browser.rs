//! The students' door as students meet it: real browsers before a real Traefik, from the first sign-in to the receipt,
//! with the keyboard alone, and on a phone that runs no scripts. Pictures of every page are kept in `target/screenshots`.

mod chromium;
mod lab;
mod proxy;
mod redis;
mod students;

use chromium::{Album, Chromium, Device, ENTER, TAB};
use lab::{Lab, docker, until};
use proxy::Traefik;
use redis::Server;
use serde_json::Value;
use students::{Gateway, codes, free_port, lab_before, roster};

/// A seat's program: a page that says whose it is, what was asked for, and which cookies came along.
const PROGRAM: &str = r#"
cat >/tmp/answer <<END
read -r method path version
while read -r header; do
    case \$header in
    [Cc]ookie:*) cookies=\$header ;;
    ?) break ;;
    esac
done
printf 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n'
echo '<meta name="viewport" content="width=device-width"><title>Work</title><h1>Work of $LABTOP_STUDENT</h1>'
echo "<p id=path>\$path</p><p id=cookies>\$cookies</p><a href='notes?page=2'>Notes</a>"
END
exec nc -ll -p 8080 -e /bin/sh /tmp/answer
"#;

/// The second student: the first one's id with more behind it, and as long as ids may be, for a phone to show.
const OTHER: &str = "anh.hai.of.the.second.year_who_has_the_longest_id_that_there_is_";

/// One laboratory with everything that stands in front of it.
struct Scene {
    redis: Server,
    lab: Lab,
    codes: std::collections::BTreeMap<String, String>,
    traefik: Traefik,
    _gateway: Gateway,
}

impl Scene {
    fn new() -> Self {
        let (port, redis) = (free_port(), Server::start());
        let settings = format!(
            "[leases]\nstore = \"redis\"\nurl = \"{}\"\n[limits]\ncreations_in_flight = 1\n",
            redis.url()
        );
        let lab = lab_before(port, PROGRAM, &settings, "");
        let roster = roster(&lab, &format!("id,name\nan,Ánh\n{OTHER},Anh Hai\n"));
        lab.run(&["room", "open", "final", "--roster", &roster, "--on-demand"])
            .expect(0);
        let codes = codes(&lab, "final");
        let gateway = Gateway::of(&lab, port);
        let traefik = Traefik::before_all(&lab, port);
        Self {
            redis,
            lab,
            codes,
            traefik,
            _gateway: gateway,
        }
    }

    /// The address that students type.
    fn address(&self, path: &str) -> String {
        format!("http://lab.test:{}{path}", self.traefik.port())
    }

    /// The only permit to make a seat is somebody else's for now, so that whoever comes waits in a line. It is kept on
    /// this test's own server.
    fn hold_creations(&self) {
        let seconds: u64 = self.redis.cli(&["TIME"]).lines().next().unwrap().parse().unwrap();
        let ends = ((seconds + 600) * 1_000).to_string();
        self.redis.cli(&["ZADD", &permits(), &ends, "somebody"]);
    }

    fn let_creations_go_on(&self) {
        self.redis.cli(&["ZREM", &permits(), "somebody"]);
    }

    /// What the ledger has of a student's archive.
    fn archive(&self, student: &str) -> Value {
        let rows = self
            .lab
            .run(&["archive", "ls", "--room", "final", "--json"])
            .expect(0)
            .json();
        let found = rows.as_array().unwrap().iter().find(|row| row["student"] == student);
        found
            .unwrap_or_else(|| panic!("no archive of {student}: {rows}"))
            .clone()
    }
}

fn permits() -> String {
    format!("labtop:permits:{}", docker(&["info", "--format", "{{.ID}}"]))
}

/// From the address to the seat, without ever touching the pointer.
fn comes_with_the_keyboard(scene: &Scene, an: &Chromium) {
    an.open(&scene.address("/seat"));
    assert_eq!((an.path().as_str(), an.title().as_str()), ("login", "Sign in"));
    an.has_focus_on("student");
    an.picture("login");

    an.press(&format!("an{TAB}0000-0000{ENTER}"));
    let words = until("a wrong code is told of", || an.text("[role=alert]"));
    assert!(words.contains("Look at your card"), "{words}");
    // The id need not be typed again.
    an.has_focus_on("code");
    an.picture("wrong-code");

    scene.hold_creations();
    an.press(&format!("{}{ENTER}", scene.codes["an"]));
    an.is_headed("Your seat is coming");
    stands_in_line(an, 1);
    an.picture("waiting");
}

/// The same on a phone without scripts.
fn comes_with_a_phone(scene: &Scene, anh: &Chromium) {
    anh.open("data:text/html,<title>none</title><script>document.title = 'scripts'</script>");
    assert_eq!(anh.title(), "none", "this browser runs scripts");
    anh.open(&scene.address("/login"));
    anh.picture("phone-login");
    anh.click("#student");
    anh.press(OTHER);
    anh.click("#code");
    // As somebody may copy it from the card.
    anh.press(&scene.codes[OTHER].to_lowercase().replace('-', " "));
    anh.click("button");
    anh.is_headed("Your seat is coming");
    stands_in_line(anh, 2);
    anh.picture("phone-waiting");
}

/// The page tells how far it is, and asks again by itself.
#[track_caller]
fn stands_in_line(browser: &Chromium, place: usize) {
    let told = format!("its place in the line is {place}");
    until(&told, || browser.text("[role=status]")?.contains(&told).then_some(()));
}

/// Where a seat's own page is when it is shown to its student.
#[track_caller]
fn is_at_work(browser: &Chromium, student: &str, path: &str) {
    browser.is_headed(&format!("Work of {student}"));
    until(path, || (browser.text("#path")? == path).then_some(()));
    assert_eq!(
        browser.text("#cookies").as_deref(),
        Some(""),
        "a seat hears of no session"
    );
}

#[test]
fn a_class_from_the_first_sign_in_to_the_receipt() {
    let scene = Scene::new();
    let album = Album::new();
    let an = Chromium::start(&album, Device::Desk);
    let anh = Chromium::start(&album, Device::PhoneWithoutScripts);
    comes_with_the_keyboard(&scene, &an);
    comes_with_a_phone(&scene, &anh);

    // Both pages go on by themselves.
    scene.let_creations_go_on();
    an.is_headed("Your seat is ready");
    an.picture("seat");
    anh.is_headed("Your seat is ready");
    anh.picture("phone-seat");
    // The page is as quick as the agent; the proxy hears of a new seat a moment later.
    scene.traefik.get_routed("/api/r/an");
    scene.traefik.get_routed(&format!("/api/r/{OTHER}"));
    an.has_focus_on("Open your seat");
    an.press(ENTER);
    is_at_work(&an, "an", "/api/r/an/");
    an.picture("work");
    anh.click("a.go");
    is_at_work(&anh, OTHER, &format!("/api/r/{OTHER}/"));

    // A neighbour's address leads nowhere but back.
    anh.open(&scene.address("/api/r/an/"));
    anh.is_headed("Not your seat");
    let words = anh.text("main p").unwrap();
    assert!(words.contains("this seat is not yours"), "{words}");
    anh.picture("phone-not-your-seat");
    anh.click("a.go");
    anh.is_headed("Your seat is ready");

    // A supervisor ends the session: the next click, a moment later, is at the login page.
    scene.lab.run(&["sessions", "revoke", "final/an"]).expect(0);
    until("the next click is at the login page", || {
        if an.path().starts_with("login") {
            return Some(());
        }
        an.try_click("a");
        None
    });
    let words = an.text("[role=alert]").unwrap();
    assert!(words.contains("A supervisor ended your session"), "{words}");
    an.picture("session-ended");
    an.press(&format!("an{TAB}{}{ENTER}", scene.codes["an"]));
    is_at_work(&an, "an", "/api/r/an/notes?page=2");
    // Nobody else was meant.
    anh.reload();
    anh.is_headed("Your seat is ready");

    // The room closes.
    an.open(&scene.address("/seat"));
    scene.lab.run(&["room", "close", "final"]).expect(0);
    for (browser, student) in [(&an, "an"), (&anh, OTHER)] {
        browser.reload();
        let digest = until("there is a receipt", || browser.text("#digest"));
        let archive = scene.archive(student);
        assert_eq!(
            (archive["digest"].as_str(), &archive["verified"]),
            (Some(digest.as_str()), &true.into())
        );
        browser.is_headed("Your work is stored");
    }
    an.picture("receipt");
    anh.picture("phone-receipt");
    an.press(&format!("{TAB}{ENTER}"));
    an.is_headed("Signed out");
    an.picture("signed-out");
}
