//! Where outputs go: stdout, FIFOs, devices, and paths that can't be written.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use serde_json::Value;

use super::folder::{
    Folder, OUTPUTS, Running, closed_port, finish, first_message, signal, silent_server, text,
};
use super::process::Process;
use super::support::serving::eventually;

#[test]
fn output_that_cannot_be_written_is_refused_before_anything_is_created() {
    let folder = Folder::new();
    let (_bound, address) = closed_port();
    for (option, name) in OUTPUTS {
        let others = OUTPUTS.into_iter().filter(|(other, _)| *other != option);
        let others = others.flat_map(|(other, _)| [other.to_owned(), format!("new{other}")]);
        let others: Vec<String> = others.collect();
        for (path, told) in [
            (format!("absent/{name}"), "there is no directory absent"),
            (".".to_owned(), "is a directory"),
            (format!("{name}/x"), "Not a directory"),
        ] {
            let mut arguments: Vec<&str> = others.iter().map(String::as_str).collect();
            arguments.extend([option, &path, &address]);
            let line = folder.refusal("bench", &arguments);
            assert!(line.contains(&format!("{option} {path}: ")), "{line}");
            assert!(line.contains(told), "{line}");
            folder.assert_untouched(&line);
        }
    }
}

#[test]
fn dash_is_stdout_for_every_output_and_the_report_goes_to_stderr() {
    let folder = Folder::new();
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    for (option, begins) in [
        ("--csv", "end_ns,"),
        ("--hgrm", "       Value"),
        ("--hlog", "#[Histogram log"),
        ("--json", "{"),
        ("--trace", "[{"),
    ] {
        for stdout in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
            let output = folder.bench(&["-n", "100", option, stdout, &address]);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            assert!(out.starts_with(begins), "{option} {stdout}: {out}");
            assert!(!out.contains("closed loop,"), "{option} {stdout}: {out}");
            assert!(err.contains("closed loop,"), "{option} {stdout}: {err}");
        }
    }
    folder.assert_untouched("only stdout is written");
    let (option, address) = ("--trace", ["--tcp", "127.0.0.1:0", "--no-udp"]);
    let arguments = [&address[..], &[option, "-"]].concat();
    let mut child = folder.start("serve", &arguments);
    let mut first = [0; 10];
    child
        .0
        .stderr
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    assert_eq!(&first, b"listening ");
    signal(&child, "INT");
    let output = finish(child);
    let trace: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(trace.is_array());
}

#[test]
fn two_outputs_in_one_file_are_refused_with_both_options() {
    let folder = Folder::new();
    let (_bound, address) = closed_port();
    fs::hard_link(folder.0.join("r.csv"), folder.0.join("hard")).unwrap();
    symlink("r.csv", folder.0.join("soft")).unwrap();
    symlink("new", folder.0.join("dangling")).unwrap();
    let full = folder.0.join("new");
    for (one, other) in [
        ("-", "-"),
        ("-", "/dev/stdout"),
        ("/dev/fd/1", "/dev/stdout"),
        ("r.csv", "hard"),
        ("r.csv", "soft"),
        ("r.csv", "./r.csv"),
        ("new", "dangling"),
        ("new", full.to_str().unwrap()),
    ] {
        for (first, second) in [
            ("--csv", "--hlog"),
            ("--json", "--trace"),
            ("--hgrm", "--csv"),
        ] {
            let line = folder.refusal("bench", &[first, one, second, other, &address]);
            assert!(line.contains(first) && line.contains(second), "{line}");
        }
    }
    assert_eq!(folder.read("r.csv"), "old");
    assert!(!full.exists());
    let null = [
        "--csv",
        "/dev/null",
        "--json",
        "/dev/null",
        "--trace",
        "/dev/null",
    ];
    let output = folder.bench(&[&null[..], &["-d", "10ms", &address]].concat());
    assert!(
        text(&output.stderr).contains("cannot connect"),
        "{output:?}"
    );
}

#[test]
fn output_that_would_replace_an_input_is_refused() {
    let folder = Folder::new();
    let (_bound, address) = closed_port();
    fs::hard_link(folder.0.join("r.json"), folder.0.join("hard")).unwrap();
    for (command, arguments) in [
        ("bench", &["-m", "@r.json", "--csv", "hard", &address][..]),
        ("bench", &["-m", "@r.json", "--json", "r.json", &address]),
        ("report", &["r.json", "-o", "hard"]),
        ("trace-merge", &["t.json", "r.json", "-o", "hard"]),
    ] {
        let line = folder.refusal(command, arguments);
        assert!(line.contains("would replace the input"), "{line}");
    }
    assert_eq!(folder.read("hard"), "old");
}

/// Where there is no terminal, the view is a line a second.
#[test]
fn watch_lines_go_to_stderr_when_json_goes_to_stdout() {
    let folder = Folder::new();
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    let arguments = ["-d", "1.5", "--warmup", "0", "--watch", "--json", "-"];
    let output = folder.bench(&[&arguments[..], &[&address]].concat());
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["messages"]["offered"].as_u64() > Some(0));
    let err = text(&output.stderr);
    assert!(err.contains("system calls/message  wasted"), "{err}");
}

#[test]
fn fifo_without_a_reader_is_refused_before_anything_is_connected() {
    let folder = Folder::new();
    fs::remove_file(folder.0.join("r.csv")).unwrap();
    folder.fifo("r.csv");
    let (listener, address) = silent_server();
    listener.set_nonblocking(true).unwrap();
    for (option, _) in OUTPUTS {
        let line = folder.refusal("bench", &[option, "r.csv", &address]);
        assert!(line.contains(&format!("{option} r.csv: ")), "{line}");
        assert!(line.contains("start its reader first"), "{line}");
    }
    let serve = ["--tcp", "127.0.0.1:0", "--no-udp", "--trace", "r.csv"];
    assert!(folder.refusal("serve", &serve).contains("start its reader"));
    assert!(listener.accept().is_err());
}

#[test]
fn fifo_with_a_reader_gets_everything() {
    let folder = Folder::new();
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    for (option, _) in OUTPUTS {
        let name = &format!("fifo{option}");
        folder.fifo(name);
        let fifo = folder.0.join(name);
        let reader = thread::spawn(move || fs::read_to_string(fifo).unwrap());
        // Open for reading and writing, so that neither the program nor the reader has to wait for the other.
        let fifo = folder.0.join(name);
        let both = File::options().read(true).write(true).open(fifo).unwrap();
        let times = ["-d", "300ms", "--warmup", "0", "--interval", "10ms"];
        let output = folder.bench(&[&times[..], &[option, name, &address]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        drop(both);
        let read = reader.join().unwrap();
        let complete = match option {
            "--csv" | "--hlog" => read.lines().count() > 15 && read.ends_with('\n'),
            "--hgrm" => read.contains("#[Max"),
            _ => serde_json::from_str::<Value>(&read).is_ok(),
        };
        assert!(complete, "{option}: {read}");
    }
}

/// A FIFO, opened for reading and writing, so that it has a reader before the program starts.
fn open_fifo(folder: &Folder) -> File {
    folder.fifo("fifo");
    let mut options = File::options();
    let nonblocking = options
        .read(true)
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32);
    nonblocking.open(folder.0.join("fifo")).unwrap()
}

/// A FIFO that is full and is not read from.
fn full_fifo(folder: &Folder) -> File {
    let mut fifo = open_fifo(folder);
    while fifo.write(&[b'x'; 4096]).is_ok() {}
    fifo
}

/// The other log is complete, and the report is printed.
#[test]
fn closed_fifo_is_reported_and_the_run_goes_on() {
    let folder = Folder::new();
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    let mut reader = open_fifo(&folder);
    let times = ["-d", "1s", "--warmup", "0", "--interval", "20ms"];
    let outputs = ["--csv", "fifo", "--hlog", "r.hlog", &address];
    let arguments = [&times[..], &outputs].concat();
    let child = folder.start("bench", &arguments);
    eventually("a record is in the FIFO", || {
        reader.read(&mut [0; 100]).is_ok()
    });
    drop(reader);
    let output = finish(child);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stdout).contains("closed loop,"), "{output:?}");
    let line = text(&output.stderr);
    assert!(line.contains("cannot write fifo: Broken pipe"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    let intervals = folder.read("r.hlog");
    let intervals = intervals.lines().filter(|line| line.contains("HISTF"));
    assert!(intervals.count() > 20);
}

#[test]
fn second_signal_ends_a_run_whose_fifo_is_full() {
    let folder = Folder::new();
    let _full = full_fifo(&folder);
    let (listener, address) = silent_server();
    let load = ["-d", "10m", "--warmup", "0", "--drain", "10m", &address];
    let outputs = ["--csv", "fifo", "--hlog", "r.hlog", "--interval", "10ms"];
    let arguments = [&load[..], &outputs].concat();
    let child = folder.start("bench", &arguments);
    let _stream = first_message(&listener);
    eventually("it is measuring", || folder.read("r.hlog") != "old");
    signal(&child, "INT");
    eventually("it waits for replies", || {
        let before = folder.read("r.hlog");
        thread::sleep(Duration::from_millis(200));
        folder.read("r.hlog") == before
    });
    let start = Instant::now();
    signal(&child, "INT");
    let output = finish(child);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(text(&output.stdout).contains("closed loop,"), "{output:?}");
    assert!(start.elapsed() < Duration::from_secs(3), "{output:?}");
}

#[test]
fn run_with_a_full_fifo_ends_in_time_and_reports_it() {
    let folder = Folder::new();
    let _full = full_fifo(&folder);
    let server = Process::serve(&[]);
    let times = ["-d", "300ms", "--warmup", "0", "--interval", "20ms"];
    let outputs = ["--csv", "fifo", "--hlog", "r.hlog"];
    let address = server.tcp[0].to_string();
    let output = folder.bench(&[&times[..], &outputs, &[&address]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stdout).contains("closed loop,"), "{output:?}");
    let line = text(&output.stderr);
    assert!(
        line.contains("cannot write fifo: it does not take"),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(folder.read("r.hlog").lines().count() > 10);
}

/// `echoloop bench --csv - ... | head -1`.
#[test]
fn closed_reader_of_stdout_is_not_a_failure() {
    let folder = Folder::new();
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    let times = ["-d", "500ms", "--warmup", "0", "--interval", "20ms"];
    let arguments = [&times[..], &["--csv", "-", &address]].concat();
    let mut child = folder.start("bench", &arguments);
    let mut stdout = child.0.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let output = finish(child);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stderr).contains("closed loop,"), "{output:?}");
}

/// A file can be written in a directory where none can be created, such as a file that is mounted into a
/// container.
#[test]
fn file_in_a_directory_that_cannot_be_written_is_overwritten_in_place() {
    let folder = Folder::new();
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    let mode = |name: &str, mode| {
        let path = folder.0.join(name);
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    mode("r.csv", 0o666);
    mode("r.json", 0o666);
    mode("r.hlog", 0o444);
    mode(".", 0o555);
    let bench = |arguments: &[&str]| {
        let arguments = [&["-n", "100", &address], arguments].concat();
        let mut program = folder.command("bench", &arguments);
        // Permissions do not stop root.
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            program.uid(65534).gid(65534);
        }
        program.spawn().map(|child| finish(Running(child)))
    };
    let written = bench(&["--json", "r.json", "--csv", "r.csv"]);
    let refused = ["new", "r.hlog"].map(|path| bench(&["--hgrm", "r.csv", "--hlog", path]));
    mode(".", 0o755);
    let Ok(output) = written else {
        eprintln!("skipped: the program can't be run by another user");
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(folder.read("r.json").starts_with('{'));
    assert_eq!(folder.read("r.csv").lines().count(), 1);
    for output in refused {
        let output = output.unwrap();
        let line = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(line.contains("Permission denied"), "{line}");
    }
    assert_eq!(folder.names(), OUTPUTS.map(|(_, name)| name));
}
