//! Programs that are blocked: by an input that does not come, or by an output without a reader.

use std::fs::{self, OpenOptions};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::fs::OFlags;

use super::process::{Process, program};
use super::support::serving::{DEADLINE, eventually, fill, round_trip};
use super::{Folder, Running, echoloop, full_pipe};

const SERVE: [&str; 5] = ["-q", "serve", "--tcp", "127.0.0.1:0", "--no-udp"];

/// States of a TCP socket (proc_net_tcp(5)).
const ESTABLISHED: &str = "01";
const LISTEN: &str = "0A";

/// The address of a TCP socket of process `pid` in this state, for a server that can't print it.
fn tcp_address(pid: u32, state: &str) -> Option<SocketAddr> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let inodes: Vec<String> = targets
        .filter_map(|target| {
            let inode = target.to_str()?.strip_prefix("socket:[")?;
            Some(inode.trim_end_matches(']').to_owned())
        })
        .collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_ours = *fields.get(3)? == state && inodes.iter().any(|inode| inode == fields[9]);
        let port = u16::from_str_radix(fields[1].split_once(':')?.1, 16).ok()?;
        is_ours.then(|| ([127, 0, 0, 1], port).into())
    })
}

pub(super) fn listening_address(pid: u32) -> Option<SocketAddr> {
    tcp_address(pid, LISTEN)
}

/// A server whose standard output is full, and a client that it has accepted. A signal before its
/// loop runs would end it at once, and it listens before that.
fn serve_into_full_pipe(options: &[&str]) -> (Running, TcpStream, std::io::PipeReader) {
    let (reader, writer) = full_pipe();
    let mut command = echoloop(&[&SERVE, options].concat());
    let server = Running::start(command.stdout(writer));
    let mut address = None;
    eventually("it listens", || {
        address = listening_address(server.id());
        address.is_some()
    });
    let client = TcpStream::connect(address.unwrap()).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    eventually("it accepts the client", || {
        tcp_address(server.id(), ESTABLISHED).is_some()
    });
    (server, client, reader)
}

const MODES: [&[&str]; 3] = [&[], &["--watch"], &["--fault", "delay:1ms"]];

#[test]
fn server_whose_standard_output_is_full_serves_and_ends_at_the_first_signal() {
    for mode in MODES {
        let (mut server, client, _reader) = serve_into_full_pipe(mode);
        round_trip(&client, b"hello");
        drop(client);
        server.signal("TERM");
        assert_eq!(server.end(), Some(0), "{mode:?}");
    }
}

/// The client never reads, so the drain does not end by itself.
#[test]
fn second_signal_ends_a_server_whose_standard_output_is_full() {
    let console: &[&str] = &["--console"];
    for mode in [MODES[0], MODES[1], console] {
        let drain = ["--drain-timeout", "10m", "--idle-timeout", "0"];
        let (mut server, client, _reader) = serve_into_full_pipe(&[mode, &drain].concat());
        if mode != console {
            fill(&client);
        }
        server.signal("TERM");
        eventually("it stops listening", || {
            listening_address(server.id()).is_none()
        });
        let start = Instant::now();
        server.signal("INT");
        assert_eq!(server.end(), Some(130), "{mode:?}");
        assert!(start.elapsed() < DEADLINE / 3, "{mode:?}");
    }
}

/// A console's own output is waited for, but not for ever.
#[test]
fn console_whose_standard_output_is_full_ends_at_the_first_signal() {
    let (mut server, client, _reader) = serve_into_full_pipe(&["--console"]);
    drop(client);
    server.signal("TERM");
    let code = server.end();
    assert_eq!(code, Some(1), "some output was lost");
}

#[test]
fn first_signal_ends_a_program_that_waits_for_an_input_file() {
    let folder = Folder::new("inputs");
    let fifo = folder.fifo("fifo");
    let message = format!("@{fifo}");
    for arguments in [
        &["report", &fifo][..],
        &["trace-merge", &fifo, &fifo],
        &["bench", "--message", &message, "127.0.0.1:9"],
    ] {
        for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
            let mut program = Running::start(&mut echoloop(arguments));
            program.handles_signals();
            program.signal(signal);
            assert_eq!(program.end(), Some(code), "{arguments:?}");
        }
    }
}

#[test]
fn first_signal_ends_a_command_whose_result_has_no_reader() {
    for arguments in [
        &["--help"][..],
        &["doctor", "127.0.0.1:9"],
        &["lab"],
        &["lab", "--json"],
        &["serve", "--help"],
    ] {
        let (_reader, writer) = full_pipe();
        let mut program = Running::start(echoloop(arguments).stdout(writer));
        program.handles_signals();
        program.signal("TERM");
        assert_eq!(program.end(), Some(143), "{arguments:?}");
    }
}

#[test]
fn first_signal_ends_a_report_whose_fifo_has_no_reader() {
    let folder = Folder::new("page");
    let (trace, fifo) = (folder.path("trace.json"), folder.fifo("fifo"));
    let server = Process::serve(&["--trace", &trace]);
    round_trip(&server.connect(), b"hello");
    server.signal("TERM");
    server.end();
    let mut open = OpenOptions::new();
    open.read(true)
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32);
    let mut full = open.open(&fifo).unwrap();
    while std::io::Write::write(&mut full, &[b'x'; 4096]).is_ok() {}
    let mut program = Running::start(&mut echoloop(&["report", &trace, "-o", &fifo]));
    let writes = format!("/proc/{}/fd", program.id());
    eventually("the FIFO is open", || {
        let descriptors = fs::read_dir(&writes).into_iter().flatten();
        let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        targets.any(|target| target.to_str() == Some(&fifo))
    });
    program.signal("TERM");
    assert_eq!(program.end(), Some(143));
}

#[test]
fn mistake_in_the_arguments_ends_in_time_without_a_reader_of_the_message() {
    let (_reader, writer) = full_pipe();
    let mut command = echoloop(&["serve", "--no-such-option"]);
    let mut program = Running::start(command.stderr(writer));
    assert_eq!(program.end(), Some(2));
}

/// A trace may have a temporary file at any time, which this thread removes.
#[test]
fn server_with_a_trace_has_the_thread_for_signals_before_it_listens() {
    let folder = Folder::new("thread");
    let server = Process::serve(&["--trace", &folder.path("trace.json")]);
    let tasks = fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
    let mut names = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")));
    assert!(names.any(|name| name.unwrap().trim() == "signals"));
}

/// Every thread is given a stack that is larger than the address space.
#[test]
fn mistake_in_the_arguments_is_reported_if_no_thread_can_be_started() {
    let mut command = echoloop(&["serve", "--no-such-option"]);
    command.env("RUST_MIN_STACK", (1_u64 << 60).to_string());
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("--no-such-option"), "{err:?}");
}

/// The log goes to a file of at most 4 KiB.
#[test]
fn log_beyond_the_file_size_limit_does_not_end_a_server() {
    let folder = Folder::new("limit");
    let log = folder.path("log");
    let mut command = Command::new("bash");
    let script = "ulimit -f 4; log=$1; shift; exec \"$0\" -v \"$@\" 2>\"$log\"";
    command.args(["-c", script, program(), &log]);
    command.args(["serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    let mut server = Process::start(command.stderr(Stdio::null()));
    eventually("the log is full", || {
        round_trip(&server.connect(), b"hello");
        fs::metadata(&log).is_ok_and(|log| log.len() == 4096)
    });
    for _ in 0..20 {
        round_trip(&server.connect(), b"hello");
    }
    server.signal("TERM");
    let status = server.child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
}
