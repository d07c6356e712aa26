//! The image of the demo and of the tests: a few megabytes around a static busybox, made on the spot.
//!
//! Its program serves a page on port 8080 and behaves as its student's id says; see `lab.sh`.

use std::path::Path;
use std::process::Command;

use bollard::models::ImageInspect;

use super::Docker;
use super::rootfs::{ROOT, RootFs, short_digest};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::template::SeatUser;

/// The user of demo seats.
pub const STUDENT: SeatUser = SeatUser { uid: 1000, gid: 1000 };
/// The port that demo seats answer on.
pub const PORT: u16 = 8080;
/// The demo's image: never pulled, always made here.
pub const IMAGE: &str = "labtop-demo:latest";
/// What it was made from: a digest of its content.
const LABEL: &str = "io.labtop.demo";
/// The static busybox that it is made around (Debian: `busybox-static`).
const BUSYBOX: &str = "/bin/busybox";
/// What a demo seat runs.
const PROGRAM: &str = "/bin/lab";
const SCRIPT: &[u8] = include_bytes!("lab.sh");
const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nstudent:x:1000:1000:student:/workspace:/bin/sh\n";
const GROUP: &[u8] = b"root:x:0:\nstudent:x:1000:\n";
const PAGE: &[u8] = b"<!doctype html><title>labtop demo</title><p>A seat of the labtop demo.\n";
/// The program header of a dynamically linked ELF file that names its loader.
const PT_INTERP: u32 = 3;

impl Docker {
    /// Makes the demo image unless it is there as this program would make it.
    ///
    /// # Errors
    /// [`FaultCode::ImageMissing`] when busybox is missing or not static, otherwise when the engine fails.
    pub async fn demo_image(&self, progress: impl Fn(String)) -> Result<(), Fault> {
        let made = tokio::task::spawn_blocking(|| root_fs(Path::new(BUSYBOX))?.finish()).await;
        let tar = made.unwrap_or_else(|error| Err(Fault::new(FaultCode::Engine, error.to_string())))?;
        let digest = short_digest(&tar);
        let _once = self.alone_with(IMAGE).await;
        let there = self.inspect_image(IMAGE).await?;
        if there.is_some_and(|image| is_made_from(&image, &digest)) {
            return Ok(());
        }
        progress(format!("making the image {IMAGE}"));
        let (command, label) = (format!("CMD [\"{PROGRAM}\"]"), format!("LABEL {LABEL}={digest}"));
        self.import_image(IMAGE, tar, &[&command, "ENV PATH=/bin", &label])
            .await
    }
}

fn is_made_from(image: &ImageInspect, digest: &str) -> bool {
    let labels = image.config.as_ref().and_then(|config| config.labels.as_ref());
    labels
        .and_then(|labels| labels.get(LABEL))
        .is_some_and(|label| label == digest)
}

/// The demo's root file system with a workspace of the student's.
///
/// # Errors
/// [`FaultCode::ImageMissing`] when `busybox` is missing or not static.
pub fn root_fs(busybox: &Path) -> Result<RootFs, Fault> {
    Ok(base(busybox)?.dir("workspace", 0o755, STUDENT))
}

/// The same without a workspace.
///
/// # Errors
/// [`FaultCode::ImageMissing`] when `busybox` is missing or not static.
pub fn base(busybox: &Path) -> Result<RootFs, Fault> {
    let program = static_program(busybox)?;
    let mut tree = RootFs::new();
    for directory in ["bin", "dev", "etc", "proc", "root", "srv", "sys", "var"] {
        tree = tree.dir(directory, 0o755, ROOT);
    }
    tree = tree
        .dir("tmp", 0o1777, ROOT)
        .file("bin/busybox", 0o755, ROOT, &program)
        .file("bin/lab", 0o755, ROOT, SCRIPT)
        .file("etc/passwd", 0o644, ROOT, PASSWD)
        .file("etc/group", 0o644, ROOT, GROUP)
        .file("srv/index.html", 0o644, ROOT, PAGE);
    for applet in applets(busybox)?.lines().filter(|applet| *applet != "busybox") {
        tree = tree.link(&format!("bin/{applet}"), "busybox", ROOT);
    }
    Ok(tree)
}

fn static_program(busybox: &Path) -> Result<Vec<u8>, Fault> {
    let program = std::fs::read(busybox).map_err(|error| needs_busybox(busybox, &error.to_string()))?;
    match is_static(&program) {
        Some(true) => Ok(program),
        _ => Err(needs_busybox(busybox, "it is not a static program")),
    }
}

fn applets(busybox: &Path) -> Result<String, Fault> {
    let run = Command::new(busybox).arg("--list").output();
    let output = run.map_err(|error| needs_busybox(busybox, &error.to_string()))?;
    String::from_utf8(output.stdout).map_err(|error| needs_busybox(busybox, &error.to_string()))
}

fn needs_busybox(path: &Path, why: &str) -> Fault {
    Fault::new(
        FaultCode::ImageMissing,
        format!("the demo image needs a static busybox at {}: {why}", path.display()),
    )
    .hint("Install it: `apt-get install busybox-static`")
}

/// Whether a 64-bit little-endian ELF file names no loader; `None` when it is no such file.
fn is_static(program: &[u8]) -> Option<bool> {
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let half = |at: usize| {
        Some(usize::from(u16::from_le_bytes(
            program.get(at..at + 2)?.try_into().ok()?,
        )))
    };
    let table = usize::try_from(u64::from_le_bytes(program.get(32..40)?.try_into().ok()?)).ok()?;
    let (size, count) = (half(54)?, half(56)?);
    let kind = |i: usize| {
        let at = table.checked_add(i * size)?;
        Some(u32::from_le_bytes(
            program.get(at..at.checked_add(4)?)?.try_into().ok()?,
        ))
    };
    Some((0..count).all(|i| kind(i).is_some_and(|kind| kind != PT_INTERP)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_static_is_refused_with_the_package_to_install() {
        for bad in ["/nowhere/busybox", "/etc/passwd", "/bin/bash"] {
            let fault = base(Path::new(bad)).err().unwrap();
            assert!(fault.hint.contains("busybox-static"), "{fault}");
        }
        assert!(base(Path::new("/bin/busybox")).is_ok());
    }
}
