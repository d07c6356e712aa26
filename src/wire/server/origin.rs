//! Where a person came from over SSH, as far as that can be known.
//!
//! Knows: what the login manager and the SSH server write down. Must not trust it: it is told to people, and decides
//! nothing. What a process says of itself is marked as such.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The variable in which an SSH server tells its sessions where they come from.
const VARIABLE: &[u8] = b"SSH_CONNECTION=";
/// Most of an environment that is read, bytes.
const ENVIRONMENT_MAX: u64 = 64 * 1024;
/// Longest host name that is told.
const HOST_MAX: usize = 253;

/// Where the user of that process came from; none when they sit at the host, or nobody knows.
///
/// Only a process of that user's is looked at: the number may be another one's by now.
pub(super) fn of(pid: Option<i32>, uid: u32) -> Option<String> {
    let process = Path::new("/proc").join(pid?.to_string());
    if std::fs::metadata(&process).ok()?.uid() != uid {
        return None;
    }
    let session = std::fs::read_to_string(process.join("sessionid")).ok();
    let by_login = session.and_then(|id| of_session(Path::new("/run/systemd/sessions"), id.trim()));
    by_login.or_else(|| {
        // A process may claim to have an environment of any size.
        let mut environment = Vec::new();
        let file = File::open(process.join("environ")).ok()?;
        file.take(ENVIRONMENT_MAX).read_to_end(&mut environment).ok()?;
        of_environment(&environment).map(|address| format!("{address} (by its own word)"))
    })
}

/// What the login manager noted of a session.
fn of_session(sessions: &Path, id: &str) -> Option<String> {
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let noted = std::fs::read_to_string(sessions.join(id)).ok()?;
    let host = noted.lines().find_map(|line| line.strip_prefix("REMOTE_HOST="))?;
    let good = |b: u8| b.is_ascii_alphanumeric() || b".:-_%".contains(&b);
    (!host.is_empty() && host.len() <= HOST_MAX && host.bytes().all(good)).then(|| host.to_owned())
}

fn of_environment(environment: &[u8]) -> Option<IpAddr> {
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(VARIABLE))?;
    let address = value.split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(address).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_is_believed_to_be_one() {
        let of = |text: &str| of_environment(text.as_bytes());
        let home = "HOME=/root\0SSH_CONNECTION=192.0.2.7 50122 198.51.100.1 22\0TERM=xterm\0";
        assert_eq!(of(home), Some("192.0.2.7".parse().unwrap()));
        assert_eq!(
            of("SSH_CONNECTION=2001:db8::1 1 ::1 22\0"),
            Some("2001:db8::1".parse().unwrap())
        );
        for bad in [
            "",
            "XSSH_CONNECTION=192.0.2.7 1 1 1\0",
            "SSH_CONNECTION=\x1b[2J 1\0",
            "SSH_CONNECTION=\0",
        ] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_login_managers_note_is_read_with_care() {
        let dir = tempfile::tempdir().unwrap();
        let note = |id: &str, text: &str| std::fs::write(dir.path().join(id), text).unwrap();
        note("5", "UID=1000\nREMOTE=1\nREMOTE_HOST=192.0.2.9\n");
        note("6", "UID=1000\nREMOTE=0\n");
        note("7", "REMOTE_HOST=\u{1b}[2J\n");
        let of = |id: &str| of_session(dir.path(), id);
        assert_eq!(of("5").as_deref(), Some("192.0.2.9"));
        for id in ["6", "7", "8", "", "../5", "4294967295"] {
            assert_eq!(of(id), None, "{id}");
        }
    }
}
