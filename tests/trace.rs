//! Traces of real loops, as a person makes them: valid on every track, whatever ends the program.

#![allow(clippy::unwrap_used)]

#[path = "support/process.rs"]
mod process;
#[path = "support/mod.rs"]
mod support;
#[path = "support/traces.rs"]
mod traces;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use echoloop::probe::{Meter, Role, What};
use echoloop::trace::{Merged, Trace, check, merge, read};
use process::{NOISE, Process, program};
use support::serving::DEADLINE;
use traces::{CLIENT, SERVER};

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("echoloop-trace-{}-{name}.json", std::process::id()))
}

/// What is in a file, which is removed.
fn take(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    fs::remove_file(path).unwrap();
    text
}

fn load(arguments: &[&str]) {
    let bench = Command::new(program())
        .args(["-q", "bench"])
        .args(NOISE)
        .args(arguments)
        .output()
        .unwrap();
    assert!(bench.status.success(), "{bench:?}");
}

fn count(trace: &Trace, wanted: impl Fn(&What) -> bool) -> usize {
    let records = trace.records.iter();
    records.filter(|record| wanted(&record.what)).count()
}

#[test]
fn the_traces_of_a_hundred_clients_and_of_their_server_are_valid_on_every_track() {
    let (server_path, client_path) = (temporary("server"), temporary("client"));
    let server = Process::serve(&["--trace", server_path.to_str().unwrap()]);
    let address = server.tcp[0].to_string();
    let client = client_path.to_str().unwrap();
    load(&[
        "-c", "100", "-n", "2000", "-p", "2", "--trace", client, &address,
    ]);
    server.signal("INT");
    assert_eq!(server.end().0, 0);
    for (path, role) in [(server_path, Role::Server), (client_path, Role::Load)] {
        let text = take(&path);
        check(&text).unwrap();
        let trace = read(&text).unwrap();
        assert_eq!((trace.role, trace.complete, trace.dropped), (role, true, 0));
        assert_eq!(count(&trace, |what| matches!(what, What::Open { .. })), 100);
        assert_eq!(
            count(&trace, |what| matches!(what, What::Close { .. })),
            100
        );
        let mut meter = Meter::new(0);
        trace.records.iter().for_each(|record| meter.take(record));
        let figures = meter.take_figures(0);
        assert_eq!(figures.bytes_in, 128_000);
        assert_eq!(figures.bytes_out, 128_000);
        assert!(figures.served >= 2_000 / 2 && !figures.waits.is_empty());
        let messages = count(&trace, |what| matches!(what, What::Message { .. }));
        assert_eq!(messages, if role == Role::Load { 2_000 } else { 0 });
    }
}

#[test]
fn a_trace_that_has_reached_its_limit_goes_no_further_and_says_so() {
    let path = temporary("limit");
    let options = ["--trace", path.to_str().unwrap(), "--trace-limit", "500"];
    let server = Process::serve(&options);
    load(&["-c", "3", "-n", "1000", &server.tcp[0].to_string()]);
    server.signal("INT");
    assert_eq!(server.end().0, 0);
    let text = take(&path);
    check(&text).unwrap();
    let trace = read(&text).unwrap();
    let kept = trace.records.len();
    assert!((500..=503).contains(&kept), "{kept}");
    assert!(trace.dropped > 1_000, "{}", trace.dropped);
}

/// Whatever was written until then can be read.
#[test]
fn a_server_that_is_killed_leaves_a_trace_that_can_be_read() {
    let path = temporary("killed");
    let mut server = Process::serve(&["--trace", path.to_str().unwrap()]);
    load(&["-c", "3", "-n", "5000", &server.tcp[0].to_string()]);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let trace = read(&take(&path)).unwrap();
    assert!(!trace.complete && trace.records.len() > 4_000);
}

/// The content of a file, as soon as `is_there` returns true for it.
fn await_text(path: &Path, is_there: impl Fn(&str) -> bool) -> String {
    let start = Instant::now();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if is_there(&text) {
            return text;
        }
        assert!(start.elapsed() < DEADLINE, "{}: {text}", path.display());
        thread::sleep(Duration::from_millis(5));
    }
}

/// It has less to write than what is written at once, and nothing wakes it after its last client.
#[test]
fn idle_server_that_is_killed_leaves_the_trace_of_all_its_clients() {
    let path = temporary("idle");
    let mut server = Process::serve(&["--trace", path.to_str().unwrap()]);
    let head = await_text(&path, |text| !text.is_empty());
    assert_eq!(read(&head).unwrap().role, Role::Server);
    for _ in 0..5 {
        let mut client = server.connect();
        client.write_all(b"hi").unwrap();
        let mut reply = [0; 2];
        client.read_exact(&mut reply).unwrap();
    }
    await_text(&path, |text| text.matches("\"peer closed\"").count() == 5);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let trace = read(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!((trace.clients.len(), trace.complete), (5, false));
    let page = path.with_extension("html");
    let report = Command::new(program()).arg("report").arg(&path).output();
    let told = String::from_utf8(report.unwrap().stdout).unwrap();
    assert!(
        told.contains(": 5 connections, ") && told.contains("\nthe trace has no end"),
        "{told}"
    );
    let shown = fs::read_to_string(&page).unwrap();
    for client in trace.clients.values() {
        assert!(shown.contains(&client.to_string()), "{client}");
    }
    fs::remove_file(page).unwrap();
    fs::remove_file(path).unwrap();
}

/// Serves with a trace to `output`, which fails after `breaks`: the log says so while the server runs, and the
/// end does with the number of records. `setup` is what the shell does before.
fn trace_fails(name: &str, setup: &str, output: &Path, breaks: impl FnOnce()) -> String {
    let log = temporary(&format!("{name}-log"));
    let script = format!("{setup}; exec \"$@\" 2>{}", log.display());
    let mut command = Command::new("sh");
    command
        .args(["-c", &script, "sh", program(), "-q", "serve"])
        .args(["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--trace"])
        .arg(output);
    let server = Process::start(&mut command);
    breaks();
    load(&["-c", "2", "-n", "5000", &server.tcp[0].to_string()]);
    let logged = await_text(&log, |text| text.contains("the trace ends here"));
    assert!(logged.contains("ERROR"), "{logged}");
    load(&["-c", "2", "-n", "5000", &server.tcp[0].to_string()]);
    server.signal("INT");
    let (code, told, _) = server.end();
    assert_eq!(code, 1);
    assert!(told.contains("4 clients served"), "{told}");
    let logged = take(&log);
    let ends = logged.matches("the trace ends here").count();
    assert_eq!(ends, 1, "{logged}");
    let last = logged.lines().last().unwrap();
    assert!(
        last.starts_with("echoloop: cannot write ") && last.ends_with(" records were dropped"),
        "{logged}"
    );
    last.to_owned()
}

#[test]
fn trace_to_a_full_device_is_reported_when_it_fails_and_at_the_end() {
    let told = trace_fails("full", "true", Path::new("/dev/full"), || ());
    assert!(
        told.contains("/dev/full: No space left on device"),
        "{told}"
    );
}

#[test]
fn trace_beyond_the_file_size_limit_is_reported_and_what_was_written_can_be_read() {
    let path = temporary("size");
    // In blocks of 512 bytes.
    let told = trace_fails("size", "ulimit -f 256", &path, || ());
    assert!(told.contains("File too large"), "{told}");
    let trace = read(&take(&path)).unwrap();
    assert!(
        !trace.complete && trace.clients.len() == 2,
        "{:?}",
        trace.clients
    );
}

#[test]
fn trace_to_a_fifo_is_reported_when_its_reader_leaves() {
    let path = temporary("fifo");
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    // It can be opened before there is a writer, which finds its reader then.
    let reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let told = trace_fails("fifo", "true", &path, || drop(reader));
    assert!(told.contains("Broken pipe"), "{told}");
    fs::remove_file(path).unwrap();
}

#[test]
fn trace_that_cannot_be_written_is_refused_before_the_server_starts() {
    let output = Command::new(program())
        .args(["-q", "serve", "--tcp", "127.0.0.1:0", "--no-udp"])
        .args(["--trace", "/nonexistent/trace.json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("--trace /nonexistent/trace.json: there is no directory"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
}

/// A load, and its server with these options, each traced; then both traces in one. `disturb` does something to the client.
fn merged(name: &str, options: &[&str], bench: &[&str], disturb: impl FnOnce(&Child)) -> Merged {
    let (server_path, client_path) = (
        temporary(&format!("{name}-server")),
        temporary(&format!("{name}-client")),
    );
    let mut all = vec!["--trace", server_path.to_str().unwrap()];
    all.extend(options);
    let server = Process::serve(&all);
    let mut client = Command::new(program())
        .args(["-q", "bench", "--trace", client_path.to_str().unwrap()])
        .args(NOISE)
        .args(bench)
        .arg(server.tcp[0].to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    disturb(&client);
    assert!(client.wait().unwrap().success());
    server.signal("INT");
    assert_eq!(server.end().0, 0);
    let (ours, theirs) = (take(&client_path), take(&server_path));
    let both = merge(("server", &theirs), ("client", &ours)).unwrap();
    check(&both.text).unwrap();
    assert_eq!(both.unmatched, 0);
    both
}

#[test]
fn messages_that_the_server_holds_back_are_blamed_on_the_server() {
    let options = ["--fault", "delay:50ms"];
    let both = merged("delay", &options, &["-c", "4", "-n", "40"], |_| ());
    assert_eq!(both.journeys.len(), 40);
    for journey in &both.journeys {
        assert!(journey.of(Role::Server) >= 50_000_000, "{journey:?}");
    }
    let blamed = both
        .journeys
        .iter()
        .filter(|journey| journey.blamed() == Role::Server);
    assert!(blamed.count() > 20);
}

/// What was due while the client did not run, and what was answered meanwhile, is the client's own.
#[test]
fn messages_that_a_stopped_client_is_late_for_are_blamed_on_the_client() {
    let bench = ["-c", "4", "-R", "200", "-d", "1500ms", "--warmup", "0"];
    let both = merged("stop", &[], &bench, |client| {
        let pid = client.id().to_string();
        let signal = |name: &str| {
            let sent = Command::new("kill").args(["-s", name, &pid]).status();
            assert!(sent.unwrap().success());
        };
        thread::sleep(Duration::from_millis(400));
        signal("STOP");
        thread::sleep(Duration::from_millis(600));
        signal("CONT");
    });
    let slowest = both
        .journeys
        .iter()
        .max_by_key(|journey| journey.total())
        .unwrap();
    assert!(slowest.total() > 400_000_000, "{slowest:?}");
    assert_eq!(slowest.blamed(), Role::Load, "{slowest:?}");
    assert!(
        slowest.of(Role::Server) < slowest.total() / 2,
        "{slowest:?}"
    );
}

#[test]
fn what_can_not_be_merged_is_one_line_and_exit_2() {
    let path = temporary("not");
    fs::write(&path, "hello").unwrap();
    let not = path.to_str().unwrap();
    for (traces, said) in [
        ([not, not], "is not an echoloop trace"),
        (["/nonexistent/a", not], "/nonexistent/a: No such file"),
    ] {
        let output = Command::new(program())
            .arg("trace-merge")
            .args(traces)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(said) && told.lines().count() == 1, "{told}");
        assert_eq!(output.status.code(), Some(2), "{told}");
    }
    fs::remove_file(&path).unwrap();
}

/// The second one may be large, or a pipe that stays open.
#[test]
fn second_trace_is_not_read_if_the_first_is_refused() {
    let path = temporary("first");
    let damaged = CLIENT.replacen("\"ph\"", "\"ph", 1);
    for first in ["hello", &damaged] {
        fs::write(&path, first).unwrap();
        let mut command = Command::new(program());
        command
            .arg("trace-merge")
            .args([path.to_str().unwrap(), "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        // It stays open.
        let stdin = child.stdin.take();
        let until = Instant::now() + DEADLINE;
        let status = loop {
            match child.try_wait().unwrap() {
                None if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
                status => break status,
            }
        };
        let _ = child.kill();
        drop(stdin);
        let code = status.and_then(|status| status.code());
        assert_eq!(code, Some(2), "{first}");
    }
    fs::remove_file(path).unwrap();
}

#[test]
fn merged_trace_that_was_written_is_reported() {
    let paths = ["client", "server", "merged"].map(|name| temporary(&format!("told-{name}")));
    fs::write(&paths[0], &*CLIENT).unwrap();
    fs::write(&paths[1], &*SERVER).unwrap();
    let merged = paths[2].to_str().unwrap();
    let records = |text: &str| read(text).unwrap().records.len();
    let records = records(&CLIENT) + records(&SERVER);
    for (output, expected) in [(merged, true), ("-", false)] {
        let mut command = Command::new(program());
        command
            .arg("trace-merge")
            .args(&paths[..2])
            .args(["-o", output]);
        let done = command.output().unwrap();
        let text = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        let line = format!("wrote {merged}: {records} records\n");
        assert_eq!(text.contains(&line), expected, "{text}");
        assert_eq!(text.contains("wrote "), expected, "{text}");
    }
    for path in paths {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn one_trace_to_merge_may_be_standard_input() {
    let path = temporary("piped");
    fs::write(&path, &*SERVER).unwrap();
    let server = path.to_str().unwrap();
    let both = "both traces are standard input: give a file for one of them";
    for (traces, code, told) in [
        (["-", server], 0, "2 messages with both ends in the traces"),
        (["-", "-"], 2, both),
    ] {
        let mut command = Command::new(program());
        command.arg("trace-merge").args(traces);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(CLIENT.as_bytes());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let text = [output.stdout, output.stderr].concat();
        assert!(String::from_utf8(text).unwrap().contains(told), "{told}");
    }
    fs::remove_file(path).unwrap();
}

/// What was measured is told, whatever becomes of the trace.
#[test]
fn a_bench_whose_trace_can_not_be_written_reports_all_the_same() {
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    let output = Command::new(program())
        .args(["-q", "bench", "-n", "500", "--trace", "/dev/full", &address])
        .output()
        .unwrap();
    let (told, errors) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(told.contains("closed loop"), "{told}");
    assert!(errors.contains("cannot write /dev/full"), "{errors}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn outputs_that_would_destroy_each_other_or_their_input_are_refused() {
    let path = temporary("twice");
    let file = path.to_str().unwrap();
    fs::write(&path, "keep me").unwrap();
    for arguments in [
        &["bench", "127.0.0.1:9", "--trace", file, "--json", file][..],
        &["bench", "127.0.0.1:9", "--csv", file, "--hlog", file],
        &["trace-merge", file, "/nonexistent/b", "-o", file],
    ] {
        let output = Command::new(program()).args(arguments).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "keep me");
    fs::remove_file(&path).unwrap();
}
