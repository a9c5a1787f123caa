//! The program at a pseudo-terminal, and what a person would see there.

#![allow(dead_code, unreachable_pub)]

#[path = "program.rs"]
mod program;

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

pub use self::program::program;
use crate::support::serving::DEADLINE;

const ROWS: u16 = 40;
const COLUMNS: u16 = 80;

pub const CTRL_C: &str = "\x03";
pub const CTRL_D: &str = "\x04";
pub const CTRL_R: &str = "\x12";
pub const ENTER: &str = "\r";
pub const TAB: &str = "\t";

/// A terminal with the program running at it. It is killed when the test is done with it.
pub struct Terminal {
    pub child: Child,
    keyboard: File,
    view: Arc<View>,
}

struct View {
    seen: Mutex<Seen>,
    changed: Condvar,
}

struct Seen {
    screen: vt100::Parser,
    /// Everything that was written to the terminal.
    bytes: Vec<u8>,
    /// Nobody takes what is written: the terminal is stopped.
    stopped: bool,
    closed: bool,
}

impl Terminal {
    /// Runs `echoloop` with `arguments`.
    pub fn run(arguments: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(arguments).env("LC_ALL", "C");
        Self::start(command)
    }

    /// Runs a console server on free ports of loopback.
    pub fn console(options: &[&str]) -> Self {
        let serve = [
            "serve",
            "--console",
            "--tcp",
            "127.0.0.1:0",
            "--udp",
            "127.0.0.1:0",
        ];
        let terminal = Self::run(&[&serve, options].concat());
        terminal.shows(">>>");
        terminal
    }

    pub fn start(command: Command) -> Self {
        Self::start_as("xterm", command)
    }

    /// Runs `command` at a terminal of a kind, which is its controlling terminal: keys such as Ctrl-C make signals.
    pub fn start_as(kind: &str, command: Command) -> Self {
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program());
        session.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        let mut command = session;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize {
            ws_row: ROWS,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        let line: OwnedFd = ioctl_tiocgptpeer(&master, flags).unwrap();
        let child = command
            .env("TERM", kind)
            .env_remove("RUST_LOG")
            .stdin(Stdio::from(line.try_clone().unwrap()))
            .stdout(Stdio::from(line.try_clone().unwrap()))
            .stderr(Stdio::from(line))
            .spawn()
            .unwrap();
        // The command holds the terminal's other end open, and with it the test would never see an end.
        drop(command);
        let seen = Seen {
            screen: vt100::Parser::new(ROWS.try_into().unwrap(), COLUMNS.try_into().unwrap(), 0),
            bytes: Vec::new(),
            stopped: false,
            closed: false,
        };
        let view = Arc::new(View {
            seen: Mutex::new(seen),
            changed: Condvar::new(),
        });
        let keyboard = File::from(master);
        let mut output = keyboard.try_clone().unwrap();
        let shared = view.clone();
        thread::spawn(move || {
            let mut room = [0; 4096];
            loop {
                let seen = shared.seen.lock().unwrap();
                drop(
                    shared
                        .changed
                        .wait_while(seen, |seen| seen.stopped)
                        .unwrap(),
                );
                // An error is how a pseudo-terminal says that its other end is closed.
                let count = output.read(&mut room).unwrap_or(0);
                let mut seen = shared.seen.lock().unwrap();
                seen.screen.process(&room[..count]);
                seen.bytes.extend_from_slice(&room[..count]);
                seen.closed = count == 0;
                shared.changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Self {
            child,
            keyboard,
            view,
        }
    }

    /// Presses keys.
    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Presses keys that may be no text.
    pub fn presses(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    /// Sets the modes of a terminal that nobody has changed, as a shell does.
    pub fn set_usual_modes(&self) {
        let mut modes = tcgetattr(&self.keyboard).unwrap();
        modes.local_modes |= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(&self.keyboard, OptionalActions::Now, &modes).unwrap();
    }

    pub fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.keyboard).unwrap();
        modes.local_modes.contains(LocalModes::ECHO)
    }

    /// Waits until keys such as Ctrl-C make signals, or do not.
    pub fn waits_until_signals(&self, wanted: bool) {
        let start = Instant::now();
        let signals = || {
            let modes = tcgetattr(&self.keyboard).unwrap();
            modes.local_modes.contains(LocalModes::ISIG)
        };
        while signals() != wanted {
            assert!(start.elapsed() < DEADLINE, "signals: {}", signals());
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn waits_until_raw(&self) {
        let start = Instant::now();
        while self.echoes() {
            assert!(start.elapsed() < DEADLINE, "it echoes");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Types a line, and enters it.
    pub fn enters(&mut self, line: &str) {
        self.types(line);
        self.types(ENTER);
    }

    /// Waits until `text` is on the screen.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.waits_for(&format!("{text:?}"), |screen| screen.contains(text));
    }

    /// Waits until the lines of the screen end in `lines`, but for blank ones and blanks at their ends.
    #[track_caller]
    pub fn ends_in(&self, lines: &[&str]) {
        self.waits_for(&format!("{lines:#?}"), |screen| {
            let shown: Vec<&str> = screen.trim_end().lines().map(str::trim_end).collect();
            shown.ends_with(lines)
        });
    }

    #[track_caller]
    fn waits_for(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let start = Instant::now();
        let mut seen = self.view.seen.lock().unwrap();
        loop {
            let screen = seen.screen.screen().contents();
            if is_so(&screen) {
                return;
            }
            let left = DEADLINE.saturating_sub(start.elapsed());
            if left.is_zero() || seen.closed {
                drop(seen);
                panic!("waited for {what}; the screen is\n{screen}");
            }
            seen = self.view.changed.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.seen().screen.screen().contents()
    }

    /// Everything that was written to the terminal.
    pub fn bytes(&self) -> Vec<u8> {
        self.seen().bytes.clone()
    }

    /// The row and column of the cursor.
    pub fn cursor(&self) -> (u16, u16) {
        self.seen().screen.screen().cursor_position()
    }

    /// Nothing is taken from the program any more: as after Ctrl-S, or with a stalled connection.
    pub fn stop(&self) {
        self.view.seen.lock().unwrap().stopped = true;
    }

    pub fn resume(&self) {
        self.view.seen.lock().unwrap().stopped = false;
        self.view.changed.notify_all();
    }

    /// An address that the program listens on.
    pub fn address(&self, scheme: &str) -> SocketAddr {
        let screen = self.screen();
        let prefix = format!("listening {scheme}://");
        let address = screen.lines().find_map(|line| line.strip_prefix(&prefix));
        address.expect("it says where it listens").parse().unwrap()
    }

    /// Whether the terminal is as it was found: it echoes, and hands over whole lines.
    pub fn is_as_found(&self) -> bool {
        let modes = tcgetattr(&self.keyboard).unwrap().local_modes;
        let pasting = self.seen().screen.screen().bracketed_paste();
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG) && !pasting
    }

    /// The name by which others can open this terminal.
    pub fn path(&self) -> String {
        let path = ptsname(&self.keyboard, Vec::new()).unwrap();
        path.into_string().unwrap()
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for the end; returns the exit code.
    pub fn end(&mut self) -> i32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.see_the_rest();
                return status.code().unwrap_or_else(|| panic!("{status}"));
            }
            assert!(
                start.elapsed() < DEADLINE,
                "the program does not end:\n{}",
                self.screen()
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until everything that was written is seen, unless nobody looks, or others go on writing.
    fn see_the_rest(&self) {
        let seen = self.seen();
        let more = |seen: &mut Seen| !seen.closed && !seen.stopped;
        let moment = Duration::from_secs(2);
        drop(self.view.changed.wait_timeout_while(seen, moment, more));
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.view.seen.lock().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.resume();
    }
}

/// Sends `child` a signal by its name.
pub fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let kill = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(kill.unwrap().success());
}
