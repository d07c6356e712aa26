//! The grammar of image references.
//!
//! Knows: what an engine accepts. Must not know: which images there are.

/// Longest reference that an engine accepts, bytes.
const LENGTH_MAX: usize = 255;

/// Holds a reference to `[HOST[:PORT]/]NAME[/NAME…][:TAG][@sha256:DIGEST]`.
pub(super) fn reference(text: String) -> Result<String, String> {
    if text.len() <= LENGTH_MAX && is_reference(&text) {
        Ok(text)
    } else {
        Err("must be an image reference, such as \"node:22\" or \"registry.example:5000/class/python:3.12\"".to_owned())
    }
}

fn is_reference(text: &str) -> bool {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let last_slash = name.rfind('/').unwrap_or(0);
    let (path, tag) = match name[last_slash..].rfind(':') {
        Some(colon) => (&name[..last_slash + colon], Some(&name[last_slash + colon + 1..])),
        None => (name, None),
    };
    let (host, path) = match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, path),
    };
    digest.is_none_or(is_digest)
        && tag.is_none_or(is_tag)
        && host.is_none_or(is_host)
        && path.split('/').all(is_component)
}

fn is_digest(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix("sha256:")
        .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(hex))
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

fn is_host(text: &str) -> bool {
    let (name, port) = text
        .split_once(':')
        .map_or((text, None), |(name, port)| (name, Some(port)));
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    !name.is_empty() && name.bytes().all(letter) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn is_component(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(letter)
        && bytes.last().copied().is_some_and(letter)
        && bytes.iter().all(|b| letter(*b) || matches!(*b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_held_to_the_grammar() {
        let digest = format!("ubuntu@sha256:{}", "a".repeat(64));
        for good in [
            "ubuntu",
            "node:22",
            "codercom/code-server:4.99.1",
            "localhost/x",
            "registry.example:5000/class/python:3.12",
            "my_image:v_1.2-x",
            &digest,
        ] {
            assert!(is_reference(good), "{good}");
        }
        for bad in [
            "",
            "Node",
            "node:",
            "node: 22",
            "-x",
            "/x",
            "x/",
            "a//b",
            "node@sha256:1",
            "node;rm",
            "$(x)",
            "reg.x:port/y",
        ] {
            assert!(!is_reference(bad), "{bad}");
        }
        assert!(reference("a".repeat(256)).is_err());
    }
}
