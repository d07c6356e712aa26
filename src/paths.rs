//! Where the state directory and the agent's socket are.
//!
//! Knows: environment variables and the system's conventions. Must not know: what is kept there.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Longest path of a Unix socket, bytes: 108 in the kernel's structure, one of them the end mark.
pub const SOCKET_PATH_MAX: usize = 107;

/// Where the system's own agent listens.
const SYSTEM_SOCKET: &str = "/run/labtop/agent.sock";
const SYSTEM_STATE: &str = "/var/lib/labtop";

/// Why a path cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// Nothing says where this user's files are.
    #[error("no place for labtop's state: set LABTOP_STATE, XDG_STATE_HOME or HOME to a directory")]
    NoHome,
    /// The kernel does not take sockets with such long names.
    #[error(
        "the socket path {} has {} bytes, and the system allows {SOCKET_PATH_MAX}: set LABTOP_SOCKET to a shorter one",
        .0.display(), .0.as_os_str().len()
    )]
    SocketTooLong(PathBuf),
    /// Somebody else may put files there.
    #[error(
        "others may write in the directory {place}, so nothing in it can be trusted: name one of this user's own with \
         LABTOP_STATE (or LABTOP_SOCKET, for the socket)",
        place = .0.display()
    )]
    Shared(PathBuf),
    /// A directory cannot be made.
    #[error("cannot make the directory {}: {cause}", .directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// Where this process's agent lives, and where a client looks for one. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The state directory.
    pub state: PathBuf,
    /// Where an agent that this user starts listens.
    pub socket: PathBuf,
    /// Where a client looks for an agent, in this order; [`Paths::socket`] is always among them.
    pub candidates: Vec<PathBuf>,
}

impl Paths {
    /// The paths of this process.
    ///
    /// # Errors
    /// When nothing says where they are, or the socket's path is longer than the system allows.
    pub fn of_process() -> Result<Self, PathError> {
        let root = rustix::process::geteuid().is_root();
        Self::of(|name| std::env::var_os(name), root)
    }

    /// The paths of a user in an environment.
    ///
    /// # Errors
    /// When nothing says where they are, or the socket's path is longer than the system allows.
    pub fn of(env: impl Fn(&str) -> Option<OsString>, root: bool) -> Result<Self, PathError> {
        let given = |name: &str| env(name).filter(|value| !value.is_empty()).map(absolute);
        // The XDG rules say that a relative path is to be ignored.
        let xdg = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());

        let own_state = given("LABTOP_STATE");
        let state = match (&own_state, root) {
            (Some(state), _) => state.clone(),
            (None, true) => PathBuf::from(SYSTEM_STATE),
            (None, false) => xdg("XDG_STATE_HOME")
                .or_else(|| xdg("HOME").map(|home| home.join(".local/state")))
                .ok_or(PathError::NoHome)?
                .join("labtop"),
        };
        let fixed = given("LABTOP_SOCKET").or_else(|| own_state.map(|state| state.join("agent.sock")));
        let runtime = xdg("XDG_RUNTIME_DIR").map(|directory| directory.join("labtop/agent.sock"));
        let (socket, candidates) = match (fixed, root) {
            (Some(socket), _) => (socket.clone(), vec![socket]),
            (None, true) => (SYSTEM_SOCKET.into(), with_system(runtime)),
            (None, false) => {
                // A session without a runtime directory (su, cron) keeps its socket beside its state.
                let socket = runtime.unwrap_or_else(|| state.join("agent.sock"));
                (socket.clone(), with_system(Some(socket)))
            }
        };
        check_socket(&socket)?;
        Ok(Self {
            state,
            socket,
            candidates,
        })
    }
}

fn with_system(other: Option<PathBuf>) -> Vec<PathBuf> {
    std::iter::once(SYSTEM_SOCKET.into()).chain(other).collect()
}

fn absolute(path: OsString) -> PathBuf {
    // This fails only when the working directory is gone; the path is then as good as it gets.
    std::path::absolute(&path).unwrap_or_else(|_| path.into())
}

/// Checks that the system takes a socket with this path.
///
/// # Errors
/// When the path is too long.
pub fn check_socket(socket: &Path) -> Result<(), PathError> {
    if socket.as_os_str().as_bytes().len() > SOCKET_PATH_MAX {
        return Err(PathError::SocketTooLong(socket.to_owned()));
    }
    Ok(())
}

/// Makes a directory, and those above it, for this user alone. One that is there is left as it is, if nobody else may
/// put files into it: whoever can would choose what this program writes to and whom it talks with.
///
/// # Errors
/// When it cannot be made, or others may write in it.
pub fn private_directory(directory: &Path) -> Result<(), PathError> {
    own_directory(directory, PRIVATE)
}

/// The same for everybody to enter.
///
/// # Errors
/// When it cannot be made, or others may write in it.
pub fn open_directory(directory: &Path) -> Result<(), PathError> {
    own_directory(directory, OPEN)
}

/// Takes a directory away that holds nothing, if it looks as this program makes it: one that somebody else prepared for
/// their own users would come back without them.
pub fn remove_own_directory(directory: &Path, mode: u32) {
    let own = rustix::process::geteuid().as_raw();
    let is_own = |found: &std::fs::Metadata| found.uid() == own && found.mode() & 0o7777 == mode;
    if std::fs::symlink_metadata(directory).is_ok_and(|found| is_own(&found)) {
        let _ = std::fs::remove_dir(directory);
    }
}

/// The mode of a directory for this user alone.
pub const PRIVATE: u32 = 0o700;
/// The mode of a directory for everybody to enter.
pub const OPEN: u32 = 0o755;

fn own_directory(directory: &Path, mode: u32) -> Result<(), PathError> {
    let failed = |cause| PathError::Directory {
        directory: directory.to_owned(),
        cause,
    };
    let is_new = std::fs::symlink_metadata(directory).is_err();
    let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(directory);
    made.map_err(failed)?;
    if is_new {
        // Whatever the process's mask took away.
        std::fs::set_permissions(directory, Permissions::from_mode(mode)).map_err(failed)?;
    }
    let found = std::fs::metadata(directory).map_err(failed)?;
    if is_private(found.uid(), found.mode(), rustix::process::geteuid().as_raw()) {
        return Ok(());
    }
    Err(PathError::Shared(directory.to_owned()))
}

/// Whether nobody but `user` and root may put files into a directory of that owner and mode.
fn is_private(owner: u32, mode: u32, user: u32) -> bool {
    const ROOT: u32 = 0;
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    (owner == user || owner == ROOT) && mode & WRITABLE_BY_OTHERS == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(variables: &[(&str, &str)], root: bool) -> Result<Paths, PathError> {
        Paths::of(
            |name| {
                variables
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.into())
            },
            root,
        )
    }

    fn all(variables: &[(&str, &str)], root: bool) -> (String, String, Vec<String>) {
        let paths = paths(variables, root).unwrap();
        let text = |path: &PathBuf| path.display().to_string();
        (
            text(&paths.state),
            text(&paths.socket),
            paths.candidates.iter().map(text).collect(),
        )
    }

    #[test]
    fn root_lives_in_the_system_directories() {
        let (state, socket, candidates) = all(&[("HOME", "/root")], true);
        assert_eq!(
            (state.as_str(), socket.as_str()),
            ("/var/lib/labtop", "/run/labtop/agent.sock")
        );
        assert_eq!(candidates, ["/run/labtop/agent.sock"]);
    }

    #[test]
    fn a_user_tries_the_system_first_and_then_the_session() {
        let variables = [("HOME", "/home/ann"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        let (state, socket, candidates) = all(&variables, false);
        assert_eq!(state, "/home/ann/.local/state/labtop");
        assert_eq!(socket, "/run/user/7/labtop/agent.sock");
        assert_eq!(candidates, ["/run/labtop/agent.sock", "/run/user/7/labtop/agent.sock"]);
    }

    #[test]
    fn a_user_without_a_session_keeps_the_socket_beside_the_state() {
        let (_, socket, _) = all(&[("HOME", "/home/ann"), ("XDG_STATE_HOME", "relative")], false);
        assert_eq!(socket, "/home/ann/.local/state/labtop/agent.sock");
    }

    #[test]
    fn an_own_state_directory_brings_its_own_socket() {
        for root in [true, false] {
            let (state, socket, candidates) = all(&[("LABTOP_STATE", "/tmp/x")], root);
            assert_eq!((state.as_str(), socket.as_str()), ("/tmp/x", "/tmp/x/agent.sock"));
            assert_eq!(candidates, ["/tmp/x/agent.sock"]);
        }
        let (_, socket, candidates) = all(&[("LABTOP_STATE", "/tmp/x"), ("LABTOP_SOCKET", "/tmp/s")], true);
        assert_eq!((socket.as_str(), candidates.len()), ("/tmp/s", 1));
    }

    #[test]
    fn a_directory_that_others_may_write_in_is_not_trusted() {
        assert!(is_private(7, 0o755, 7) && is_private(0, 0o755, 7) && is_private(7, 0o40700, 7));
        for (owner, mode) in [(8, 0o700), (7, 0o775), (7, 0o777), (0, 0o1777)] {
            assert!(!is_private(owner, mode, 7), "{owner} {mode:o}");
        }
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::os::unix::fs::chown(&open, None, None).unwrap();
        std::fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(private_directory(&open), Err(PathError::Shared(_))));
        private_directory(&dir.path().join("new/below")).unwrap();
        open_directory(&dir.path().join("door")).unwrap();
        let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().mode() & 0o777;
        assert_eq!((mode("new/below"), mode("door")), (0o700, 0o755));
    }

    #[test]
    fn relative_and_empty_values_are_made_harmless() {
        let (state, ..) = all(&[("LABTOP_STATE", "here")], true);
        assert!(Path::new(&state).is_absolute() && state.ends_with("/here"));
        let (state, ..) = all(&[("LABTOP_STATE", "")], true);
        assert_eq!(state, "/var/lib/labtop");
        assert!(matches!(paths(&[], false), Err(PathError::NoHome)));
    }

    #[test]
    fn a_socket_path_over_the_limit_is_named() {
        let long = format!("/tmp/{}", "d".repeat(120));
        let error = paths(&[("LABTOP_STATE", &long)], true).unwrap_err().to_string();
        assert!(
            error.contains(&long) && error.contains("LABTOP_SOCKET") && error.contains("107"),
            "{error}"
        );
        let fits = format!("/{}", "d".repeat(SOCKET_PATH_MAX - 1));
        assert!(paths(&[("LABTOP_SOCKET", &fits)], true).is_ok());
    }
}
