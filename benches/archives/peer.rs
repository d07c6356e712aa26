//! What an administrator has without labtop: `docker cp SEAT:/workspace - | zstd -3 -T1 | rclone rcat`.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Scene;
use crate::bucket::{ACCESS, BUCKET, SECRET, rclone_binary};

/// How long the whole pipeline takes.
pub fn archive(scene: &Scene, container: &str) -> Duration {
    let start = Instant::now();
    let mut copy = Command::new("docker");
    copy.args(["cp", &format!("{container}:/workspace"), "-"]);
    let mut copied = begin(copy.stdin(Stdio::null()).stdout(Stdio::piped()));
    let mut zstd = Command::new("zstd");
    zstd.args(["-3", "-T1", "-q", "-c"]);
    let mut packed = begin(zstd.stdin(copied.stdout.take().unwrap()).stdout(Stdio::piped()));
    let mut rclone = Command::new(rclone_binary());
    rclone
        .args([
            "rcat",
            "--quiet",
            "--config",
            "/dev/null",
            &format!("peer:{BUCKET}/workspace.tar.zst"),
        ])
        .env("RCLONE_CONFIG_PEER_TYPE", "s3")
        .env("RCLONE_CONFIG_PEER_PROVIDER", "Rclone")
        .env(
            "RCLONE_CONFIG_PEER_ENDPOINT",
            format!("http://{}", scene.server.address),
        )
        .env("RCLONE_CONFIG_PEER_ACCESS_KEY_ID", ACCESS)
        .env("RCLONE_CONFIG_PEER_SECRET_ACCESS_KEY", SECRET);
    let sent = begin(rclone.stdin(packed.stdout.take().unwrap()));
    for mut child in [copied, packed, sent] {
        assert!(child.wait().unwrap().success(), "the peer's pipeline failed");
    }
    start.elapsed()
}

fn begin(command: &mut Command) -> Child {
    command
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()))
}
