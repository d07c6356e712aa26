//! Engines that are absent, forbidden, too old, hung, or behind TLS.

#[path = "support/docker.rs"]
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use labtop::domain::fault::FaultCode;
use labtop::domain::settings::TlsSettings;
use labtop::world::docker::Docker;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::options;
use tempfile::TempDir;

fn engine(host: &str, tls: Option<TlsSettings>) -> Docker {
    Docker::new(options(host, tls)).unwrap()
}

fn unix(path: &Path) -> Docker {
    engine(&format!("unix://{}", path.display()), None)
}

#[tokio::test]
async fn an_absent_engine_says_what_to_do() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("docker.sock");
    let docker = unix(&socket);
    let fault = docker.hello().await.unwrap_err();
    assert!(
        fault.code == FaultCode::EngineUnreachable && fault.hint.contains("systemctl start docker"),
        "{fault}"
    );
    // A socket file without a listener, as a crashed engine leaves it.
    drop(UnixListener::bind(&socket).unwrap());
    let fault = docker.list().await.unwrap_err();
    assert!(fault.text.contains("nothing listens"), "{fault}");
    assert!(docker.is_local() && Docker::new(options("ssh://host", None)).is_err());
}

/// Answers every request on a socket with one text.
fn stub(socket: &Path, answer: &'static str) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
                if !answer.is_empty() {
                    let _ = stream.write_all(head.as_bytes());
                }
                let _ = stream.read(&mut [0; 1]);
            });
        }
    });
}

#[tokio::test]
async fn an_old_engine_is_refused_and_a_hung_one_found_out() {
    let dir = TempDir::new().unwrap();
    stub(
        &dir.path().join("old"),
        r#"{"Version": "19.03.1", "ApiVersion": "1.40"}"#,
    );
    let fault = unix(&dir.path().join("old")).hello().await.unwrap_err();
    assert!(
        fault.code == FaultCode::EngineVersion && fault.text.contains("19.03.1"),
        "{fault}"
    );

    stub(&dir.path().join("hung"), "");
    let docker = unix(&dir.path().join("hung"));
    let begun = Instant::now();
    let fault = docker.ping().await.unwrap_err();
    assert!(
        fault.code == FaultCode::EngineUnreachable && begun.elapsed() < Duration::from_secs(5),
        "{fault}"
    );
    // A call without an answer ends too.
    let fault = docker.list().await.unwrap_err();
    assert!(
        fault.code == FaultCode::EngineUnreachable && begun.elapsed() < Duration::from_secs(40),
        "{fault}"
    );
}

/// Set for the copy of this test program that runs as another user.
const FORBIDDEN: &str = "LABTOP_TEST_FORBIDDEN_SOCKET";

#[tokio::test]
async fn a_forbidden_socket_names_the_group() {
    if let Some(socket) = std::env::var_os(FORBIDDEN) {
        let fault = unix(Path::new(&socket)).hello().await.unwrap_err();
        assert!(
            fault.code == FaultCode::EngineUnreachable && fault.hint.contains("group `docker`"),
            "{fault}"
        );
        return;
    }
    assert!(
        rustix::process::geteuid().is_root(),
        "run as root: the test becomes a user who may not open the socket"
    );
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (socket, program) = (dir.path().join("docker.sock"), dir.path().join("test"));
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o660)).unwrap();
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let run = Command::new(&program)
        .args(["--exact", "a_forbidden_socket_names_the_group"])
        .env(FORBIDDEN, &socket)
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output();
    let output = run.unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

/// A second engine on this host that only speaks TLS; ended and erased with the test.
struct Engine {
    child: Child,
    dir: TempDir,
    port: u16,
}

impl Drop for Engine {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Starts an engine in a network of its own, because one without a bridge removes the host's `docker0`. The socket comes
/// from outside, the way that systemd hands one over.
const LAUNCHER: &str = r#"exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec unshare --net dockerd "$@""#;

impl Engine {
    fn start(certificates: &Certificates) -> Self {
        let dir = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        fs::write(dir.path().join("daemon.json"), "{}").unwrap();
        let child = Command::new("sh")
            .args(["-c", LAUNCHER, "dockerd", "-H", "fd://", "--storage-driver", "vfs"])
            .args([
                "--config-file",
                &path("daemon.json"),
                "--data-root",
                &path("data"),
                "--exec-root",
                &path("exec"),
            ])
            .args([
                "--pidfile",
                &path("pid"),
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
            ])
            .args(["--tlsverify", "--tlscacert", &certificates.file("ca.pem")])
            .args([
                "--tlscert",
                &certificates.file("server.pem"),
                "--tlskey",
                &certificates.file("server.key"),
            ])
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, dir, port }
    }

    /// Waits until the engine says that it listens; its socket takes connections long before.
    fn wait(&mut self) {
        let begun = Instant::now();
        loop {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap();
            if log.contains("API listen on") {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            let late = begun.elapsed() > Duration::from_mins(1);
            assert!(
                ended.is_none() && !late,
                "dockerd (`apt-get install docker.io`) fails: {ended:?}\n{log}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// An authority, a server's and a client's certificate, as files.
struct Certificates(TempDir);

impl Certificates {
    fn make() -> Self {
        let dir = TempDir::new().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        for (name, host) in [("server", "127.0.0.1"), ("client", "labtop")] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &authority).unwrap();
            fs::write(dir.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            fs::write(dir.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn of_client(&self) -> TlsSettings {
        TlsSettings {
            ca: self.path("ca.pem"),
            cert: self.path("client.pem"),
            key: self.path("client.key"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_behind_tls_is_reached_with_certificates_only() {
    let certificates = Certificates::make();
    let mut engine_process = Engine::start(&certificates);
    engine_process.wait();
    let host = format!("tcp://127.0.0.1:{}", engine_process.port);
    let docker = engine(&host, Some(certificates.of_client()));
    let info = docker.hello().await.unwrap();
    assert!(!docker.is_local() && info.api.starts_with("1."), "{info:?}");
    docker.ping().await.unwrap();
    assert_eq!(docker.list().await.unwrap().containers, []);
    let tar = labtop::world::docker::rootfs::RootFs::new().finish().unwrap();
    docker.import_image("empty:1", tar, &[]).await.unwrap();
    assert!(
        docker.image_exists("empty:1").await.unwrap(),
        "it is another engine, and it obeys"
    );

    let strangers = Certificates::make();
    let unknown_client = TlsSettings {
        ca: certificates.path("ca.pem"),
        ..strangers.of_client()
    };
    let unknown_server = TlsSettings {
        ca: strangers.path("ca.pem"),
        ..certificates.of_client()
    };
    let no_file = TlsSettings {
        key: "/nowhere/key.pem".into(),
        ..certificates.of_client()
    };
    for tls in [Some(unknown_client), Some(unknown_server), Some(no_file), None] {
        let fault = engine(&host, tls).hello().await.unwrap_err();
        assert_ne!(fault.code, FaultCode::EngineVersion, "{fault}");
        println!("{fault}");
    }
}
