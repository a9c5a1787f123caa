//! Output files of an earlier run, and programs that are to replace them.

#![allow(unreachable_pub)]

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::process::{NOISE, program};
use super::support::serving::{DEADLINE, eventually};

/// Every output option and the file it is given, in the order of their names.
pub const OUTPUTS: [(&str, &str); 5] = [
    ("--csv", "r.csv"),
    ("--hgrm", "r.hgrm"),
    ("--hlog", "r.hlog"),
    ("--json", "r.json"),
    ("--trace", "t.json"),
];

/// A directory of its own, with a file of an earlier run for each output. It is removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-outputs-{number}", std::process::id());
        let folder = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        fs::create_dir_all(&folder.0).unwrap();
        for (_, name) in OUTPUTS {
            fs::write(folder.0.join(name), "old").unwrap();
        }
        folder
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    pub fn fifo(&self, name: &str) {
        let made = Command::new("mkfifo").arg(self.0.join(name)).status();
        assert!(made.unwrap().success());
    }

    /// The names of all files, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Nothing but the files of the earlier run is here.
    pub fn assert_untouched(&self, what: &str) {
        assert_eq!(self.names(), OUTPUTS.map(|(_, name)| name), "{what}");
        for (_, name) in OUTPUTS {
            assert_eq!(self.read(name), "old", "{name}: {what}");
        }
    }

    /// The same, but the trace may have been replaced by another that can be read.
    pub fn assert_untouched_but_for_a_trace(&self) {
        assert_eq!(self.names(), OUTPUTS.map(|(_, name)| name));
        for (_, name) in OUTPUTS.iter().filter(|(_, name)| *name != "t.json") {
            assert_eq!(self.read(name), "old", "{name}");
        }
        let trace = self.read("t.json");
        let read = self.command("report", &["t.json", "-o", "-"]).output();
        let is_read = read.unwrap().status.success();
        assert!(trace == "old" || is_read, "{trace}");
    }

    pub fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut program = Command::new(program());
        program.args(["-q", command]);
        if command == "bench" {
            program.args(NOISE);
        }
        program.args(arguments);
        self.piped(program)
    }

    pub fn piped(&self, mut program: Command) -> Command {
        program.current_dir(&self.0).stdin(Stdio::null());
        program.stdout(Stdio::piped()).stderr(Stdio::piped());
        program
    }

    pub fn start(&self, command: &str, arguments: &[&str]) -> Running {
        Running(self.command(command, arguments).spawn().unwrap())
    }

    pub fn bench(&self, arguments: &[&str]) -> Output {
        finish(self.start("bench", arguments))
    }

    /// The one line that refuses these arguments with exit code 2.
    pub fn refusal(&self, command: &str, arguments: &[&str]) -> String {
        let output = finish(self.start(command, arguments));
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {line}");
        assert_eq!(line.lines().count(), 1, "{arguments:?}: {line}");
        assert!(output.stdout.is_empty());
        line
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that is running. It is killed when the test is done with it.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for the end of a program whose streams are pipes. One that does not end is killed.
pub fn finish(mut running: Running) -> Output {
    fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).unwrap();
            bytes
        })
    }
    let child = &mut running.0;
    let stdout = child.stdout.take().map(drain);
    let stderr = child.stderr.take().map(drain);
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(start.elapsed() < DEADLINE, "the program does not end");
        thread::sleep(Duration::from_millis(2));
    };
    let bytes = |pipe: Option<thread::JoinHandle<Vec<u8>>>| {
        pipe.map(|pipe| pipe.join().unwrap()).unwrap_or_default()
    };
    Output {
        status,
        stdout: bytes(stdout),
        stderr: bytes(stderr),
    }
}

pub fn signal(running: &Running, name: &str) {
    let pid = running.0.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(sent.unwrap().success());
}

/// These arguments, and every output option.
pub fn with_outputs<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let outputs = OUTPUTS.into_iter();
    let outputs = outputs.flat_map(|(option, name)| [option, name]);
    arguments.iter().copied().chain(outputs).collect()
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A closed port: the socket is bound to it, so that no other program gets it, and does not listen.
pub fn closed_port() -> (Socket, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address.to_string())
}

/// A server that accepts one connection and never replies.
pub fn silent_server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Waits until a client has connected and sent its first bytes: its load is running.
pub fn first_message(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let mut accepted = None;
    eventually("a client has connected", || {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    let (mut stream, _) = accepted.unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    stream
}
