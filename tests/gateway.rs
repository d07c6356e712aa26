//! The students' door with the real agent, the real gateway and a real Traefik in front: who gets in, and who does not.

mod lab;
mod proxy;
mod students;

use std::time::{Duration, Instant};

use lab::{Lab, until, until_within};
use proxy::{SERVER, Traefik};
use students::{Browser, Gateway, class, codes, free_port, lab_before, roster, verify};

/// A laboratory whose gateway listens at this port, with more settings of its template.
fn lab_at(port: u16, settings: &str) -> Lab {
    lab_before(port, SERVER, "", settings)
}

fn wait_until_ready(browser: &Browser) {
    until("the seat is ready", || {
        (browser.seat()["phase"] == "ready").then_some(())
    });
}

/// Ways around the proxy's rules and the door's, each with the cookie of `an`: none is answered by another's seat.
fn no_twist_leads_into(an: &Browser, seat: &str) {
    for path in [
        "/api/r/an/../anh",
        "/api/r/an/../anh/",
        "/api/r/an/%2e%2e/anh/",
        "/api/r/an%2f..%2fanh/",
        "/api/r/an/..%2fanh/",
        "/api/r//anh/",
        "//api/r/anh/",
        "/api/r/an//../anh/",
        "/api/r/./anh/",
        "/api/r/ANH/",
        "/api/r/anh./",
        "/api/r/anh%00/",
        "/api/r/%61nh/",
        "/api/r/anh;/",
        "/api/r/anh?/api/r/an/",
        "/api/r/anh/?x=/api/r/an/",
        "http://lab.test/api/r/anh/",
    ] {
        let answer = an.get(path);
        // What begins with the own route may end at the own seat, whose program then sees an odd path.
        let own = answer.text.contains("seat final/an ");
        let theirs = answer.text.contains(&format!("seat {seat} "));
        assert!(!theirs && (own || answer.status >= 300), "{path}: {answer:?}");
    }
    for headers in [
        "X-Forwarded-Uri: /api/r/an/\r\n",
        "X-Original-URL: /api/r/an/\r\nX-Rewrite-URL: /api/r/an/\r\n",
        "X-Forwarded-Prefix: /api/r/an\r\nX-Forwarded-Host: lab.test\r\n",
    ] {
        assert_eq!(an.get_with("/api/r/anh/", headers).status, 403, "{headers}");
    }
}

#[test]
fn a_student_signs_in_gets_a_seat_and_takes_a_receipt_home() {
    let port = free_port();
    let lab = lab_at(port, "");
    let file = roster(&lab, "id,name\nan,Ánh\nanh,Anh Hai\n");
    lab.run(&["room", "open", "final", "--roster", &file, "--on-demand"])
        .expect(0);
    assert!(lab.ls().is_empty(), "no seat before its student comes");
    let codes = codes(&lab, "final");
    let gateway = Gateway::of(&lab, port);
    let traefik = Traefik::before(&lab);

    let mut an = Browser::new(gateway.port);
    assert_eq!(an.get("/seat").location(), "/login");
    assert_eq!(an.sign_in("an", "0000-0000").status, 401);
    assert!(an.token.is_none());
    let signed = an.sign_in("an", &codes["an"].to_lowercase().replace('-', " "));
    assert_eq!((signed.status, signed.location()), (303, "/seat"), "{signed:?}");
    let cookie = &signed.headers["set-cookie"];
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && !cookie.contains("Domain"),
        "{cookie}"
    );
    wait_until_ready(&an);
    let page = an.get("/seat");
    assert!(
        page.text.contains("href=\"/api/r/an/\"") && page.text.contains("Time left"),
        "{}",
        page.text
    );

    // Through the proxy: the student's own page, and nobody else's.
    let front = an.at(traefik.port());
    let own = until("the route is there", || {
        Some(front.get("/api/r/an/id.txt")).filter(|answer| answer.status != 404)
    });
    assert!(
        own.status == 200 && own.text.contains("seat final/an heard GET /api/r/an/id.txt"),
        "{own:?}"
    );
    assert!(
        own.text.contains("with ") && !own.text.contains("labtop_session"),
        "a seat hears of no session: {own:?}"
    );
    let anonymous = Browser::new(traefik.port());
    let turned_away = anonymous.get_with("/api/r/an/x?y=1", "Accept: text/html\r\n");
    assert_eq!(turned_away.status, 401);
    assert!(
        turned_away.text.contains("/login?next=/api/r/an/x%3Fy%3D1"),
        "{}",
        turned_away.text
    );
    assert_eq!(anonymous.get("/api/r/an/").status, 401);

    let mut anh = Browser::new(gateway.port);
    anh.sign_in("anh", &codes["anh"]);
    wait_until_ready(&anh);
    let theirs = anh.at(traefik.port());
    until("the second route is there", || {
        (theirs.get("/api/r/anh").status != 404).then_some(())
    });
    assert_eq!(theirs.get("/api/r/an/").status, 403, "another student's seat");
    assert_eq!(front.get("/api/r/anh/").status, 403, "and the reverse");
    no_twist_leads_into(&front, "final/anh");
    until("the board is told", || {
        let trail = lab.run(&["audit", "--json"]).expect(0).json();
        let told = trail.as_array().unwrap().iter().any(|row| row["verb"] == "trespass");
        told.then_some(())
    });

    // A supervisor ends the session: the next click is at the login page, within a second.
    lab.run(&["sessions", "revoke", "final/anh"]).expect(0);
    let since = Instant::now();
    until("nobody is let in any more", || {
        (theirs.get("/api/r/anh/").status == 401).then_some(())
    });
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(anh.get("/seat").location(), "/login");
    assert!(anh.get("/login").text.contains("A supervisor ended your session"));

    // The room closes: the receipt is the ledger's.
    lab.run(&["room", "close", "final"]).expect(0);
    let receipt = until("there is a receipt", || {
        let seat = an.seat();
        (!seat["receipt"].is_null()).then(|| seat["receipt"].clone())
    });
    let archives = lab
        .run(&["archive", "ls", "--room", "final", "--json"])
        .expect(0)
        .json();
    let row = archives
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["student"] == "an")
        .unwrap();
    assert_eq!((&receipt["digest"], &receipt["archive"]), (&row["digest"], &row["id"]));
    assert!(an.get("/seat").text.contains(row["digest"].as_str().unwrap()));
    until("the route is gone with the seat", || {
        let status = front.get("/api/r/an/").status;
        assert!(
            [403, 404].contains(&status),
            "the proxy may hear of it a moment later: {status}"
        );
        (status == 404).then_some(())
    });
}

#[test]
fn what_is_forged_stale_or_twisted_is_refused() {
    let (port, other_port) = (free_port(), free_port());
    let (lab, other) = (lab_at(port, ""), lab_at(other_port, ""));
    for lab in [&lab, &other] {
        lab.run(&["room", "open", "r", "--students", "an,anh,binh"]).expect(0);
    }
    let (gateway, foreign) = (Gateway::of(&lab, port), Gateway::of(&other, other_port));
    let (codes, foreign_codes) = (codes(&lab, "r"), codes(&other, "r"));
    let (mut an, mut stranger) = (Browser::new(gateway.port), Browser::new(foreign.port));
    assert_eq!(an.sign_in("an", &codes["an"]).status, 303);
    assert_eq!(stranger.sign_in("an", &foreign_codes["an"]).status, 303);
    let (own, others) = (verify(&lab, "r_an"), verify(&lab, "r_anh"));
    assert_eq!(an.get(&own).status, 200);

    // Names, paths and headers of every twist: none leads into another's seat, and none changes the answer.
    let mark = &lab.instance().unwrap()[..8];
    for path in [
        others.clone(),
        format!("/auth/verify/lab-{mark}_r_AN"),
        format!("/auth/verify/lab-{mark}_r_an."),
        format!("/auth/verify/lab-{mark}_r_an%2f..%2flab-{mark}_r_anh"),
        format!("/auth/verify/lab-{mark}_r_an/../lab-{mark}_r_anh"),
        format!("/auth/verify//lab-{mark}_r_an"),
        format!("/auth/verify/lab-{mark}_r_an/"),
        format!("/auth/verify/lab-{mark}_r_an%00"),
        format!("/auth/verify/%6cab-{mark}_r_binh"),
        "/auth/verify/".to_owned(),
        "/auth/verify/x".to_owned(),
    ] {
        let answer = an.get(&path);
        assert!([403, 404].contains(&answer.status), "{path}: {answer:?}");
    }
    let anonymous = Browser::new(gateway.port);
    for headers in [
        "X-Forwarded-User: an\r\n",
        "X-Forwarded-Uri: /api/r/an/\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: localhost\r\n",
        "X-Labtop-Student: an\r\nX-Remote-User: an\r\nRemote-User: an\r\nX-Container-Name: r_an\r\n",
        "Authorization: Basic YW46YW4=\r\n",
        "Cookie: labtop_session=\r\n",
        "Cookie: student=an; session=an\r\n",
    ] {
        assert_eq!(anonymous.get_with(&own, headers).status, 401, "{headers}");
        assert_eq!(
            an.get_with(&others, headers).status,
            if headers.contains("Cookie: labtop") { 401 } else { 403 }
        );
    }

    let token = an.token.clone().unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    // {"alg":"none","typ":"JWT"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    for forged in [
        stranger.token.clone().unwrap(),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(43)),
        format!("{token}x"),
        format!("{token}; labtop_session={token}"),
        "x".repeat(4_000),
    ] {
        assert_eq!(an.with(&forged).get(&own).status, 401, "{forged}");
    }
    // Smuggling: what two readers would read in two ways is not read at all.
    for headers in ["Host: other.test\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n"] {
        assert_eq!(an.get_with(&own, headers).status, 400, "{headers}");
    }
}

#[test]
fn forms_of_other_sites_change_nothing_and_nobody_is_sent_there() {
    let (lab, codes, gateway) = class("an", |port| lab_at(port, ""));
    let (mut an, anonymous) = (Browser::new(gateway.port), Browser::new(gateway.port));
    assert_eq!(an.sign_in("an", &codes["an"]).status, 303);
    let own = verify(&lab, "r_an");

    // A form of another site signs nobody out; one without a mark neither; the page's own does.
    let form = |mark: &str, headers: &str| an.post("/logout", &[("mark", mark)], headers).status;
    assert_eq!(form("", "Origin: https://evil.test\r\n"), 403);
    assert_eq!(form("", "Sec-Fetch-Site: cross-site\r\n"), 403);
    assert_eq!(
        form("", "Sec-Fetch-Site: same-origin\r\nOrigin: http://lab.test\r\n"),
        403
    );
    assert_eq!(an.get(&own).status, 200, "still signed in");
    let page = an.get("/seat").text;
    let mark = page
        .split("name=\"mark\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert_eq!(
        form(mark, "Sec-Fetch-Site: same-origin\r\nOrigin: http://lab.test\r\n"),
        200
    );
    assert_eq!(
        an.get(&own).status,
        401,
        "the cookie played again after that opens nothing"
    );

    let head = anonymous.get("/login");
    for (name, value) in [
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
    ] {
        assert!(head.headers[name].contains(value), "{name}: {head:?}");
    }
    // Nobody is sent to another site after signing in.
    for next in ["//evil.test", "https://evil.test/", "/api/r/anh/", "/\\evil.test"] {
        let form = [("student", "an"), ("code", codes["an"].as_str()), ("next", next)];
        let answer = anonymous.post("/login", &form, "");
        assert!(answer.location().starts_with("/seat"), "{next}: {answer:?}");
    }
    let routes = anonymous.get("/traefik/config").json();
    assert!(
        routes["http"]["routers"]["labtop"]["rule"]
            .as_str()
            .unwrap()
            .contains("/login")
    );
    assert_eq!(
        anonymous
            .get_with("/traefik/config", "X-Forwarded-For: 192.0.2.7\r\n")
            .status,
        404
    );
}

#[test]
fn wrong_codes_lock_a_student_out_until_a_supervisor_helps() {
    let (lab, codes, gateway) = class("an,binh", |port| lab_at(port, ""));
    let mut an = Browser::new(gateway.port);
    let statuses: Vec<u16> = (0..12).map(|_| an.sign_in("an", "0000-0000").status).collect();
    assert_eq!(statuses, [[401; 10].as_slice(), &[429; 2]].concat());
    assert_eq!(
        an.sign_in("an", &codes["an"]).status,
        429,
        "the right code does not count either"
    );
    assert_eq!(
        Browser::new(gateway.port).sign_in("binh", &codes["binh"]).status,
        303,
        "others go on"
    );
    lab.run(&["sessions", "revoke", "r/an"]).expect(0);
    until("the lockout is forgotten", || {
        (an.sign_in("an", &codes["an"]).status == 303).then_some(())
    });
    // Neither codes nor hashes are anywhere that is read or shown.
    let log = std::fs::read_to_string(lab.state().join("log/agent.log")).unwrap();
    let trail = lab.run(&["audit", "--json"]).expect(0).stdout;
    for secret in [
        codes["an"].as_str(),
        &codes["an"].replace('-', ""),
        "argon2id",
        an.token.as_deref().unwrap(),
    ] {
        assert!(!log.contains(secret) && !trail.contains(secret), "{secret}");
    }
}

#[test]
fn an_address_with_many_mistakes_keeps_out_only_who_made_one() {
    let (lab, codes, gateway) = class("an,binh", |port| lab_at(port, ""));
    for n in 0..100 {
        assert_eq!(
            Browser::new(gateway.port).sign_in(&format!("x{n}"), "0000-0000").status,
            401
        );
    }
    assert_eq!(Browser::new(gateway.port).sign_in("an", &codes["an"]).status, 303);
    assert_eq!(Browser::new(gateway.port).sign_in("binh", "0000-0000").status, 401);
    let locked = Browser::new(gateway.port).sign_in("binh", &codes["binh"]);
    assert!(
        locked.status == 429 && locked.text.contains("ask your supervisor"),
        "{locked:?}"
    );
    lab.run(&["sessions", "revoke", "r/binh"]).expect(0);
    until("the supervisor has helped", || {
        (Browser::new(gateway.port).sign_in("binh", &codes["binh"]).status == 303).then_some(())
    });
}

#[test]
fn a_second_sign_in_takes_over_and_both_are_told() {
    let (lab, codes, gateway) = class("an", |port| lab_at(port, ""));
    let (mut first, mut second) = (Browser::new(gateway.port), Browser::new(gateway.port));
    first.sign_in("an", &codes["an"]);
    let taken = second.sign_in("an", &codes["an"]);
    assert_eq!(taken.location(), "/seat?took_over=1");
    let own = verify(&lab, "r_an");
    assert_eq!((first.get(&own).status, second.get(&own).status), (401, 200));
    assert!(first.get("/login").text.contains("signed in elsewhere"));
    let rows = lab.run(&["sessions", "ls", "--json"]).expect(0).json();
    assert_eq!(rows.as_array().unwrap().len(), 1);

    // A supervisor's look stands beside the student's session, and is for once.
    let code = lab.run(&["seat", "peek", "r/an"]).expect(0).stdout;
    let code = code.lines().last().unwrap().to_owned();
    let mut supervisor = Browser::new(gateway.port);
    assert_eq!(supervisor.sign_in("", &code).status, 303);
    assert_eq!((supervisor.get(&own).status, second.get(&own).status), (200, 200));
    assert_eq!(Browser::new(gateway.port).sign_in("", &code).status, 401);
}

#[test]
fn without_its_agent_the_door_serves_what_it_knows_and_then_closes() {
    let (lab, codes, gateway) = class("an", |port| lab_at(port, ""));
    let mut an = Browser::new(gateway.port);
    an.sign_in("an", &codes["an"]);
    let own = verify(&lab, "r_an");
    let since = Instant::now();
    lab.kill_agent();
    assert_eq!(an.get(&own).status, 200, "for a while it knows enough");
    until_within("nobody is let in any more", Duration::from_mins(1), || {
        (an.get(&own).status == 503).then_some(())
    });
    assert!(since.elapsed() > Duration::from_secs(28), "{:?}", since.elapsed());
    assert_eq!(an.sign_in("an", &codes["an"]).status, 503);
    // The next agent knows the session, and so does the gateway again.
    lab.run(&["ls"]);
    lab.run(&["room", "extend", "r", "--minutes", "1"]).expect(0);
    until("the door is open again", || (an.get(&own).status == 200).then_some(()));
}

#[test]
fn of_two_sign_ins_at_once_exactly_one_session_is_left() {
    // `LABTOP_SIGN_IN_PAIRS` for more.
    let pairs = std::env::var("LABTOP_SIGN_IN_PAIRS").map_or(100, |text| text.parse::<usize>().unwrap());
    let port = free_port();
    let lab = lab_at(port, "");
    lab.run(&["room", "open", "final", "--students", "an", "--minutes", "3"])
        .expect(0);
    let code = codes(&lab, "final").remove("an").unwrap();
    let gateway = Gateway::of(&lab, port);
    for pair in 0..pairs {
        let browsers = std::thread::scope(|scope| {
            let both = [(); 2].map(|()| {
                scope.spawn(|| {
                    let mut browser = Browser::new(gateway.port);
                    let signed = browser.sign_in("an", &code);
                    assert_eq!(signed.status, 303, "{signed:?}");
                    browser
                })
            });
            both.map(|one| one.join().unwrap())
        });
        let open = || {
            browsers
                .iter()
                .filter(|browser| browser.get("/seat").status == 200)
                .count()
        };
        // The news of the end of the other takes a moment.
        until(&format!("one of pair {pair} is left"), || (open() == 1).then_some(()));
        let sessions = lab.run(&["sessions", "ls", "--json"]).expect(0).json();
        assert_eq!(sessions.as_array().unwrap().len(), 1, "{sessions}");
    }
    let mut last = Browser::new(gateway.port);
    last.sign_in("an", &code);
    let page = last.get("/seat").text;
    assert!(
        page.contains("Your time ends in") && page.contains("role=\"alert\""),
        "{page}"
    );
}
