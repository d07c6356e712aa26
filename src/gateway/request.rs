//! What is read of a request, all of it hostile: cookies, the address, where a form comes from.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The cookie that names a session.
pub(super) const COOKIE: &str = "labtop_session";
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Turns away what no browser and no proxy sends, and what two readers may read in two ways: two hosts. Of lengths the
/// HTTP parser takes care: two that differ are refused, and chunks count before a length.
pub(super) async fn plain_head(request: Request, next: Next) -> Response {
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        return StatusCode::BAD_REQUEST.into_response();
    }
    next.run(request).await
}

/// The session cookie's value. Two of them say nothing: whoever added one hoped that somebody else reads the other.
pub(super) fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    let mut found = pairs(headers)
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value);
    let only = found.next()?;
    found.next().is_none().then_some(only)
}

/// All other cookies, as a header has them: a seat's program is never told its visitor's session.
pub(super) fn other_cookies(headers: &HeaderMap) -> Option<String> {
    let others = pairs(headers).filter(|(name, _)| !name.eq_ignore_ascii_case(COOKIE));
    let kept: Vec<String> = others.map(|(name, value)| format!("{name}={value}")).collect();
    (!kept.is_empty()).then(|| kept.join("; "))
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let texts = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

/// Where a browser is. Only a proxy on this host is believed, and only the last thing that it says: everything before
/// came from the browser.
pub(super) fn address(peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
    if !peer.ip().is_loopback() {
        return peer.ip();
    }
    let mut told = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let last = told.next_back().and_then(|text| text.rsplit(',').next());
    last.and_then(|text| text.trim().parse().ok()).unwrap_or(peer.ip())
}

/// Whether a form was sent by one of our own pages, as far as the browser says. What is no browser says nothing, and has
/// no cookies of somebody else's.
pub(super) fn is_same_site(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else { return false };
    if let Some(url) = public_url {
        return origin == url;
    }
    let host = text("x-forwarded-host").or_else(|| text("host"));
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some() && authority == host
}

/// Whether a request was made over TLS, as far as it is known.
pub(super) fn is_secure(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    match public_url {
        Some(url) => url.starts_with("https://"),
        None => headers
            .get("x-forwarded-proto")
            .is_some_and(|proto| proto == "https" || proto == "wss"),
    }
}

/// Whether whoever asks wants JSON rather than a page.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/html")
}

/// Whether a browser asks for a page to look at.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let method = headers.get("x-forwarded-method").and_then(|value| value.to_str().ok());
    accept.contains("text/html") && method.is_none_or(|method| method == "GET" || method == "HEAD")
}

/// A path to go back to: below the seat's own route, and nowhere else.
pub(super) fn way_back<'p>(path: &'p str, route: &str) -> Option<&'p str> {
    const LENGTH_MAX: usize = 2_000;
    let rest = path.strip_prefix(route)?;
    let below = rest.is_empty() || rest.starts_with(['/', '?']);
    let plain = path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    (below && plain && !path.contains("/..") && path.len() <= LENGTH_MAX).then_some(path)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        map
    }

    #[test]
    fn of_two_session_cookies_none_counts_and_neither_goes_on() {
        let one = headers(&[("cookie", "a=1; labtop_session=x.y.z; b=2")]);
        assert_eq!(session_cookie(&one), Some("x.y.z"));
        assert_eq!(other_cookies(&one).as_deref(), Some("a=1; b=2"));
        for two in [
            headers(&[("cookie", "labtop_session=x; labtop_session=y")]),
            headers(&[("cookie", "labtop_session=x"), ("cookie", "labtop_session=y")]),
        ] {
            assert_eq!((session_cookie(&two), other_cookies(&two)), (None, None));
        }
        assert_eq!(session_cookie(&headers(&[("cookie", "LABTOP_SESSION=x")])), None);
        assert_eq!(other_cookies(&headers(&[("cookie", "LABTOP_SESSION=x")])), None);
    }

    #[test]
    fn only_a_proxy_of_this_host_says_where_a_browser_is() {
        let told = headers(&[("x-forwarded-for", "10.0.0.1, 192.0.2.7")]);
        let of = |peer: &str| address(peer.parse().unwrap(), &told).to_string();
        assert_eq!(of("127.0.0.1:1"), "192.0.2.7");
        assert_eq!(of("203.0.113.9:1"), "203.0.113.9");
        let twice = headers(&[("x-forwarded-for", "10.0.0.1"), ("x-forwarded-for", "192.0.2.8")]);
        assert_eq!(address("[::1]:1".parse().unwrap(), &twice).to_string(), "192.0.2.8");
        let bad = headers(&[("x-forwarded-for", "nonsense")]);
        assert_eq!(address("127.0.0.1:1".parse().unwrap(), &bad).to_string(), "127.0.0.1");
    }

    #[test]
    fn forms_of_other_sites_are_told_apart() {
        let host = ("host", "lab.example");
        for (pairs, public_url, expected) in [
            (&[host][..], None, true),
            (&[host, ("origin", "https://lab.example")][..], None, true),
            (&[host, ("origin", "https://evil.example")][..], None, false),
            (&[host, ("origin", "null")][..], None, false),
            (
                &[host, ("origin", "https://lab.example")][..],
                Some("https://door.example"),
                false,
            ),
            (
                &[host, ("origin", "https://door.example")][..],
                Some("https://door.example"),
                true,
            ),
            (&[host, ("sec-fetch-site", "cross-site")][..], None, false),
            (&[host, ("sec-fetch-site", "same-site")][..], None, false),
            (&[host, ("sec-fetch-site", "same-origin")][..], None, true),
        ] {
            assert_eq!(is_same_site(&headers(pairs), public_url), expected, "{pairs:?}");
        }
    }

    #[test]
    fn nobody_is_sent_anywhere_but_to_their_seat() {
        let route = "/api/r/an";
        for good in ["/api/r/an", "/api/r/an/", "/api/r/an/a/b.html?x=1#y", "/api/r/an?x"] {
            assert_eq!(way_back(good, route), Some(good));
        }
        let long = format!("/api/r/an/{}", "x".repeat(2_000));
        for bad in [
            "",
            "/",
            "//evil.example",
            "https://evil.example",
            "/api/r/anh",
            "/api/r/an\\@evil",
            "/api/r/an/\r\nx:y",
            "/api/r/AN",
            "/\\evil",
            "/api/r/an/../bo",
            "/api/r/an/ä",
            &long,
        ] {
            assert_eq!(way_back(bad, route), None, "{bad}");
        }
    }
}
