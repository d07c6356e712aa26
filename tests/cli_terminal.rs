//! The program in a real pseudo-terminal against a fake agent: shells, logs, questions, Ctrl-C.

mod wire_support;

use std::io::{Read, Write};

use bytes::Bytes;
use labtop::domain::command::{Command, Outcome, ProgressReport};
use labtop::engine::handle::{CommandEvent, Request, ShellInput, ShellSession};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;
use wire_support::{Fake, Served, serve, within};

/// The program on a terminal of its own; ended when the test is over.
struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    screen: mpsc::UnboundedReceiver<Vec<u8>>,
    seen: Vec<u8>,
    child: Option<Box<dyn Child + Send + Sync>>,
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

impl Terminal {
    fn run(served: &Served, program: &str, arguments: &[&str]) -> Self {
        let pair = native_pty_system().openpty(size(90, 20)).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env("LABTOP_SOCKET", &served.socket);
        command.env("LABTOP_STATE", served.directory.path());
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (printed, screen) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = reader.read(&mut bytes)
                && count > 0
                && printed.send(bytes[..count].to_vec()).is_ok()
            {}
        });
        Self {
            keys: pair.master.take_writer().unwrap(),
            master: pair.master,
            screen,
            seen: Vec::new(),
            child: Some(child),
        }
    }

    fn labtop(served: &Served, line: &str) -> Self {
        let arguments: Vec<_> = line.split(' ').collect();
        Self::run(served, env!("CARGO_BIN_EXE_labtop"), &arguments)
    }

    fn press(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
        self.keys.flush().unwrap();
    }

    fn interrupt(&self) {
        let pid = self.child.as_ref().and_then(|child| child.process_id()).unwrap();
        let process = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(process, Signal::INT).unwrap();
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    async fn shows(&mut self, text: &str) {
        while !self.text().contains(text) {
            match within(self.screen.recv()).await {
                Some(bytes) => self.seen.extend_from_slice(&bytes),
                None => panic!("{text:?} did not come: {:?}", self.text()),
            }
        }
    }

    /// Everything until the program ends, and its exit code.
    async fn ends(mut self) -> (String, u32) {
        while let Some(bytes) = within(self.screen.recv()).await {
            self.seen.extend_from_slice(&bytes);
        }
        let mut child = self.child.take().unwrap();
        let status = within(tokio::task::spawn_blocking(move || child.wait())).await;
        let status = status.unwrap().unwrap();
        (self.text(), status.exit_code())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

struct Shell {
    printed: mpsc::Sender<Bytes>,
    typed: mpsc::Receiver<ShellInput>,
    size: (u16, u16),
}

async fn shell(fake: &mut Fake) -> Shell {
    let Request::Shell { cols, rows, reply, .. } = fake.request().await else {
        panic!("a shell")
    };
    let (printed, output) = mpsc::channel(4);
    let (input, typed) = mpsc::channel(4);
    reply.send(Ok(ShellSession { output, input })).unwrap();
    Shell {
        printed,
        typed,
        size: (cols, rows),
    }
}

impl Shell {
    async fn types(&mut self) -> ShellInput {
        within(self.typed.recv()).await.unwrap()
    }
}

fn data(bytes: &'static [u8]) -> ShellInput {
    ShellInput::Data(Bytes::from_static(bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_has_the_terminal_until_it_ends() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let mut terminal = Terminal::labtop(&served, "seat shell demo/an");
    let mut shell = shell(&mut fake).await;
    assert_eq!(shell.size, (90, 20));
    shell
        .printed
        .send(Bytes::from_static(b"\x1b[1m$ \x1b[0m"))
        .await
        .unwrap();
    terminal.shows("\u{1b}[1m$ ").await;
    // Raw: Ctrl-C and a bare carriage return arrive as they are.
    terminal.press(b"\x03");
    assert_eq!(shell.types().await, data(b"\x03"));
    terminal.press(b"\r");
    assert_eq!(shell.types().await, data(b"\r"));
    terminal.master.resize(size(100, 30)).unwrap();
    assert_eq!(shell.types().await, ShellInput::Resize { cols: 100, rows: 30 });
    drop(shell);
    let (text, code) = terminal.ends().await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("\u{1b}[?25h") && text.contains("\u{1b}[?1049l"),
        "{text:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_person_leaves_a_shell_that_does_not_listen() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let mut terminal = Terminal::labtop(&served, "seat shell demo/an");
    let mut shell = shell(&mut fake).await;
    terminal.shows("Ctrl-] leaves").await;
    shell.printed.send(Bytes::from_static(b"ready")).await.unwrap();
    terminal.shows("ready").await;
    terminal.press(b"ab\x1dcd");
    assert_eq!(shell.types().await, data(b"ab"));
    within(shell.printed.closed()).await;
    assert_eq!(terminal.ends().await.1, 0);
}

/// `stty` before and after, in the same terminal, on each way out.
#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_is_as_before_on_every_way_out() {
    for way in ["ends", "agent", "signal", "hangup"] {
        let mut fake = Fake::new();
        let served = serve(&fake.handle);
        // A job in the background reads from nowhere unless the terminal is named.
        let script = format!(
            "cd {}; stty -a > before; {} seat shell demo/an < /dev/tty & echo $! > pid; wait $!; stty -a > after; echo over",
            served.directory.path().display(),
            env!("CARGO_BIN_EXE_labtop"),
        );
        let mut terminal = Terminal::run(&served, "/bin/sh", &["-c", &script]);
        let shell = shell(&mut fake).await;
        shell.printed.send(Bytes::from_static(b"ready")).await.unwrap();
        terminal.shows("ready").await;
        let file = |name: &str| std::fs::read_to_string(served.directory.path().join(name)).unwrap();
        let pid = rustix::process::Pid::from_raw(file("pid").trim().parse().unwrap()).unwrap();
        let signal = |signal| rustix::process::kill_process(pid, signal).unwrap();
        match way {
            "ends" => drop(shell.printed),
            "agent" => served.shutdown.cancel(),
            "signal" => signal(rustix::process::Signal::TERM),
            _ => signal(rustix::process::Signal::HUP),
        }
        terminal.shows("over").await;
        assert_eq!(file("before"), file("after"), "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_a_terminal_is_shown_and_not_obeyed() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let terminal = Terminal::labtop(&served, "seat logs demo/an --follow");
    let Request::Logs { follow, reply, .. } = fake.request().await else {
        panic!("a log")
    };
    assert!(follow);
    let (lines, stream) = mpsc::channel(4);
    reply.send(Ok(stream)).unwrap();
    lines
        .send(Ok(Bytes::from_static(b"a\x1b]0;owned\x07\x1b[2J\xc3")))
        .await
        .unwrap();
    lines.send(Ok(Bytes::from_static(b"\xa9 end\n"))).await.unwrap();
    drop(lines);
    let (text, code) = terminal.ends().await;
    assert_eq!(code, 0);
    assert_eq!(text, "a\\u{1b}]0;owned\\u{7}\\u{1b}[2Jé end\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn discarding_asks_for_the_room_by_name() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let mut terminal = Terminal::labtop(&served, "room close demo --discard");
    terminal.shows("Type the room's name").await;
    terminal.press(b"dem\n");
    let (text, code) = terminal.ends().await;
    assert!(code == 1 && text.contains("nothing was done"), "{text}");
    assert!(fake.requests.try_recv().is_err());

    let mut terminal = Terminal::labtop(&served, "room close demo --discard");
    terminal.shows("Type the room's name").await;
    terminal.press(b"demo\n");
    let Request::Command { command, events, .. } = fake.request().await else {
        panic!("a command")
    };
    assert!(matches!(command, Command::CloseRoom { discard: true, .. }));
    events.send(CommandEvent::Done(Outcome::done("Gone."))).await.unwrap();
    assert_eq!(terminal.ends().await.1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_c_leaves_the_command_to_the_agent() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let mut terminal = Terminal::labtop(&served, "room open demo --seats 3");
    let Request::Command { events, .. } = fake.request().await else {
        panic!("a command")
    };
    let report = ProgressReport {
        done: 1,
        failed: 0,
        total: 3,
        text: "making".to_owned(),
    };
    events.send(CommandEvent::Progress(report)).await.unwrap();
    terminal.shows("\r\u{1b}[2K1/3  making").await;
    // The signal alone: the key would make the terminal throw away what is printed at that moment.
    terminal.interrupt();
    let (text, code) = terminal.ends().await;
    assert!(
        code == 130 && text.contains("the agent goes on with demo"),
        "{code}: {text}"
    );
    assert!(!events.is_closed());
}
