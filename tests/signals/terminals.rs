//! Terminals that disconnect, that are stopped, and that have to be restored.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use rustix::param::page_size;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use super::blocked::listening_address;
use super::process::program;
use super::support::serving::{connect, eventually, round_trip};
use super::{Folder, Running};

#[path = "../support/terminal.rs"]
mod terminal;

use terminal::Terminal;

const SERVE: [&str; 5] = ["serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"];

/// Starts the program at a terminal of its own, after `before`, which a shell runs. Returns the other end
/// of the terminal.
pub(crate) fn start_at_terminal(before: &str, arguments: &[&str]) -> (Running, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let line: OwnedFd = ioctl_tiocgptpeer(&master, flags).unwrap();
    let mut command = Command::new("setsid");
    let script = format!("{before}; exec \"$0\" \"$@\"");
    command
        .args(["--ctty", "sh", "-c", &script, program()])
        .args(arguments);
    command.env("TERM", "xterm");
    command.stdin(Stdio::from(line.try_clone().unwrap()));
    command.stdout(Stdio::from(line.try_clone().unwrap()));
    let running = Running::start(command.stderr(Stdio::from(line)));
    (running, master)
}

/// Waits until the program has written to its terminal, and reads that.
fn read_some(master: &OwnedFd) -> String {
    let mut text = [0; 4096];
    let count = rustix::io::read(master, &mut text).unwrap();
    String::from_utf8_lossy(&text[..count]).into_owned()
}

/// SIGHUP is ignored, as after `nohup` with redirections of its own.
#[test]
fn server_that_outlives_its_terminal_ends_like_one_whose_reader_is_gone() {
    for mode in [&[][..], &["--watch"], &["--stats-interval", "1ms"]] {
        let (mut server, master) = start_at_terminal("trap '' HUP", &[&SERVE, mode].concat());
        let mut seen = String::new();
        while !seen.contains("listening udp://") {
            seen += &read_some(&master);
        }
        drop(master);
        server.signal("TERM");
        assert_eq!(server.end(), Some(0), "{mode:?}");
    }
}

#[test]
fn terminal_that_disconnects_ends_its_programs_with_129() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let console = [&SERVE[..], &["--console"]].concat();
    for (arguments, sign) in [
        (&SERVE[..], "listening udp://"),
        (&console, ">>>"),
        (&["connect", &address], ">>>"),
    ] {
        let (mut program, master) = start_at_terminal(":", arguments);
        let mut seen = String::new();
        while !seen.contains(sign) {
            seen += &read_some(&master);
        }
        drop(master);
        assert_eq!(program.end(), Some(129), "{arguments:?}");
    }
}

#[test]
fn console_that_outlives_its_terminal_stops_as_at_end_of_input() {
    let (mut console, master) =
        start_at_terminal("trap '' HUP", &[&SERVE[..], &["--console"]].concat());
    let mut seen = String::new();
    while !seen.contains(">>>") {
        seen += &read_some(&master);
    }
    drop(master);
    assert_eq!(console.end(), Some(0));
}

#[test]
fn fatal_signal_gives_the_terminal_back_and_ends_as_by_default() {
    // Of the last two, the exit code is all that is known.
    for (name, number) in [
        ("QUIT", 3),
        ("ABRT", 6),
        ("ALRM", 14),
        ("USR2", 12),
        ("IO", 128 + 29),
        ("PWR", 128 + 30),
    ] {
        let mut operator = Terminal::console(&[]);
        operator.types("half a li");
        operator.shows("half a li");
        assert!(!operator.is_as_found());
        operator.signal(name);
        let mut status = None;
        eventually("it has ended", || {
            status = operator.child.try_wait().unwrap();
            status.is_some()
        });
        let status = status.unwrap();
        assert_eq!(
            status.signal().or_else(|| status.code()),
            Some(number),
            "{name}"
        );
        eventually("the terminal is as it was", || operator.is_as_found());
    }
}

/// The limit of the address space leaves no room for the stack of a thread, which has 2 MiB.
#[test]
fn signal_gives_the_terminal_back_if_no_thread_can_be_started() {
    const ROOM: usize = 1024 * 1024;
    for (name, ends_with) in [("TERM", None), ("QUIT", Some(3))] {
        let mut operator = Terminal::console(&[]);
        operator.types("half a li");
        operator.shows("half a li");
        let pid = operator.child.id().to_string();
        let pages = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
        let pages: usize = pages.split(' ').next().unwrap().parse().unwrap();
        let limit = format!("--as={}", pages * page_size() + ROOM);
        let mut prlimit = Command::new("prlimit");
        prlimit.args([&limit, "--pid", &pid]);
        assert!(prlimit.status().unwrap().success());
        operator.signal(name);
        let mut status = None;
        eventually("it has ended", || {
            status = operator.child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().signal(), ends_with, "{name}");
        eventually("the terminal is as it was", || operator.is_as_found());
    }
}

/// A terminal is writable as soon as it has room for one byte.
#[test]
fn terminal_with_little_room_does_not_keep_a_server_from_serving() {
    let folder = Folder::new("room");
    let full = folder.path("full");
    // The terminal is filled. A line that is typed starts the server.
    let fill = format!(
        "stty -echo; dd if=/dev/zero of=/dev/tty bs=64 oflag=nonblock 2>&-; \
         : >{full}; read line"
    );
    let mut serve = vec!["-q", "serve", "--no-udp"];
    serve.extend(["--tcp", "127.0.0.1:0"].repeat(120));
    let (mut server, master) = start_at_terminal(&fill, &serve);
    eventually("the terminal is full", || fs::exists(&full).unwrap());
    rustix::io::read(&master, &mut [0; 512]).unwrap();
    rustix::io::write(&master, b"\n").unwrap();
    let mut address = None;
    eventually("it listens", || {
        address = listening_address(server.id());
        address.is_some()
    });
    round_trip(&connect(address.unwrap()), b"hello");
    server.signal("TERM");
    assert_eq!(server.end(), Some(0));
}

/// Ctrl-S: the terminal takes nothing until Ctrl-Q.
#[test]
fn stopped_terminal_does_not_keep_a_server_from_ending() {
    const CTRL_S: &str = "\x13";
    for mode in [&[][..], &["--watch"], &["--stats-interval", "1ms"]] {
        let mut terminal = Terminal::run(&[&SERVE, mode].concat());
        terminal.shows("listening udp://");
        terminal.types(CTRL_S);
        terminal.signal("TERM");
        let mut status = None;
        eventually("it has ended", || {
            status = terminal.child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().code(), Some(0), "{mode:?}");
    }
}

/// Nobody takes what the program writes, which is more than a terminal holds.
#[test]
fn two_signals_end_a_console_whose_terminal_is_stuck_and_give_it_back() {
    let mut operator = Terminal::console(&[]);
    let address = operator.address("tcp");
    operator.stop();
    for _ in 0..60 {
        operator.enters("/help");
    }
    assert!(!operator.is_as_found());
    operator.signal("TERM");
    eventually("it stops listening", || {
        TcpStream::connect(address).is_err()
    });
    operator.signal("INT");
    let mut status = None;
    eventually("it has ended", || {
        status = operator.child.try_wait().unwrap();
        status.is_some()
    });
    // It may have ended by itself before the second.
    let code = status.unwrap().code();
    assert!(matches!(code, Some(0 | 130)), "{code:?}");
    assert!(operator.echoes(), "{code:?}");
}
