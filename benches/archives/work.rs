//! The work of a seat that is archived: made here, and brought into its workspace by the Docker client.

use std::fmt;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

use tar::{Builder, EntryType, Header};

/// Small files in one directory.
const IN_DIRECTORY: u64 = 100;
/// Words of which small files are made, as a program's source is.
const WORDS: [&str; 16] = [
    "return ",
    "let ",
    "const ",
    "function ",
    "=> {\n",
    "}\n",
    "(value)",
    " = ",
    "index",
    "[0]",
    ";\n",
    "if (",
    ") ",
    "result.",
    "push",
    "map",
];
/// Bytes of a small file: from, and how many more at most.
const SMALL: (u64, u64) = (100, 4_000);

/// What is in the workspace.
#[derive(Clone, Copy)]
pub enum Work {
    /// One file of random bytes.
    Incompressible { mib: u64 },
    /// Files such as a project's dependencies are.
    SmallFiles { files: u64 },
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incompressible { mib } => write!(f, "{mib} MiB of incompressible data"),
            Self::SmallFiles { files } => write!(f, "{files} small files"),
        }
    }
}

impl Work {
    /// Puts it into a container's workspace.
    pub fn fill(self, container: &str) {
        let mut client = Command::new("docker")
            .args(["cp", "-", &format!("{container}:/workspace")])
            .stdin(Stdio::piped())
            .spawn()
            .expect("install the Docker client: apt-get install docker.io");
        let into = io::BufWriter::with_capacity(1 << 20, client.stdin.take().unwrap());
        self.write(into).unwrap();
        assert!(client.wait().unwrap().success(), "docker cp failed");
    }

    fn write(self, into: impl Write) -> io::Result<()> {
        let (mut tar, mut chance) = (Builder::new(into), Chance(1));
        match self {
            Self::Incompressible { mib } => {
                let size = mib << 20;
                let header = header(EntryType::Regular, size);
                append(&mut tar, header, "large.bin", chance.take(size))?;
            }
            Self::SmallFiles { files } => {
                for n in 0..files {
                    let directory = format!("module-{:04}", n / IN_DIRECTORY);
                    if n % IN_DIRECTORY == 0 {
                        append(&mut tar, header(EntryType::Directory, 0), &directory, io::empty())?;
                    }
                    let text = text(&mut chance);
                    let header = header(EntryType::Regular, text.len() as u64);
                    append(
                        &mut tar,
                        header,
                        &format!("{directory}/file-{n:05}.js"),
                        text.as_bytes(),
                    )?;
                }
            }
        }
        tar.into_inner()?.flush()
    }
}

/// With a moment to the nanosecond, as whatever a program writes has it.
fn append(tar: &mut Builder<impl Write>, mut header: Header, path: &str, data: impl Read) -> io::Result<()> {
    tar.append_pax_extensions([("mtime", b"1790000000.123456789".as_slice())])?;
    tar.append_data(&mut header, path, data)
}

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_790_000_000);
    header
}

fn text(chance: &mut Chance) -> String {
    let length = SMALL.0 + chance.next() % SMALL.1;
    let mut text = String::new();
    while (text.len() as u64) < length {
        let word = usize::try_from(chance.next() % WORDS.len() as u64).unwrap();
        text.push_str(WORDS[word]);
    }
    text
}

/// Numbers that look drawn by chance, the same in every run (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The lowest bits of the state itself are no good.
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }
}

impl Read for Chance {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for eight in buffer.chunks_mut(4) {
            let bytes = self.next().to_le_bytes();
            eight.copy_from_slice(&bytes[..eight.len()]);
        }
        Ok(buffer.len())
    }
}
