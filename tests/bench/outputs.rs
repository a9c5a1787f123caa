//! What becomes of output files: in a run that can't start, is killed, is interrupted, or has no room.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;
use std::time::SystemTime;

use serde_json::Value;

use super::folder::{
    Folder, OUTPUTS, Running, closed_port, finish, first_message, signal, silent_server, text,
    with_outputs,
};
use super::process::{Process, program};
use super::support::serving::eventually;

#[test]
fn run_that_cannot_start_keeps_every_old_file() {
    let folder = Folder::new();
    let (_bound, address) = closed_port();
    for (arguments, code) in [
        (&["-d", "100ms"][..], 1),
        (&["--server-pid", "4194305"], 2),
        (&["-c", "1M"], 2),
        (&["--slo", "p99=5ms"], 2),
        (&["-m", "@absent"], 2),
        (&["-c", "3", "--idle", "2k", "-d", "100ms"], 1),
    ] {
        let all = with_outputs(&[arguments, &[&address]].concat());
        let output = folder.bench(&all);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(text(&output.stderr).lines().count(), 1, "{output:?}");
        folder.assert_untouched(&format!("{arguments:?}"));
    }
}

#[test]
fn run_killed_before_its_first_interval_keeps_old_results_and_leaves_a_readable_trace() {
    let folder = Folder::new();
    let (listener, address) = silent_server();
    let all = with_outputs(&["-d", "10m", "--interval", "10m", "--warmup", "0", &address]);
    let mut child = folder.start("bench", &all);
    let _stream = first_message(&listener);
    // It replaces the old one as soon as it has its header. In between, its temporary file would be left.
    eventually("the trace has its header", || {
        folder.read("t.json") != "old"
    });
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    folder.assert_untouched_but_for_a_trace();
}

#[test]
fn run_killed_later_leaves_its_records_and_keeps_old_results() {
    let folder = Folder::new();
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    let all = with_outputs(&["-d", "10m", "--interval", "20ms", "--warmup", "0", &address]);
    let mut child = folder.start("bench", &all);
    eventually("three intervals are in the file", || {
        folder.read("r.csv").lines().count() > 3
    });
    eventually("a trace is in the file", || folder.read("t.json") != "old");
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    let csv = folder.read("r.csv");
    assert!(csv.starts_with("end_ns,") && csv.ends_with('\n'), "{csv}");
    assert!(folder.read("r.hlog").contains(",HISTF"));
    assert!(folder.read("t.json").starts_with("[{"));
    assert_eq!(
        (folder.read("r.json"), folder.read("r.hgrm")),
        ("old".into(), "old".into())
    );
    assert_eq!(folder.names(), OUTPUTS.map(|(_, name)| name));
}

#[test]
fn run_interrupted_in_its_warmup_writes_results_and_keeps_old_logs() {
    let folder = Folder::new();
    let (listener, address) = silent_server();
    let all = with_outputs(&[
        "-d",
        "10m",
        "--warmup",
        "10m",
        "--interval",
        "1ms",
        &address,
    ]);
    let child = folder.start("bench", &all);
    let _stream = first_message(&listener);
    signal(&child, "INT");
    let output = finish(child);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let warnings = text(&output.stderr);
    assert!(
        warnings.contains("--csv r.csv was not written"),
        "{warnings}"
    );
    assert_eq!(
        (folder.read("r.csv"), folder.read("r.hlog")),
        ("old".into(), "old".into())
    );
    let json: Value = serde_json::from_str(&folder.read("r.json")).unwrap();
    assert_eq!(json["interrupted"], true);
    let trace: Value = serde_json::from_str(&folder.read("t.json")).unwrap();
    assert!(trace.is_array());
}

/// Files that are renamed over the old ones leave a hard link to the old file alone.
#[test]
fn results_replace_old_files_and_keep_their_mode_and_symbolic_links() {
    let folder = Folder::new();
    let server = Process::serve(&[]);
    let path = |name: &str| folder.0.join(name);
    let linked = OUTPUTS.map(|(option, name)| {
        let (target, copy) = (format!("target-{name}"), format!("copy-{name}"));
        fs::rename(path(name), path(&target)).unwrap();
        fs::set_permissions(path(&target), Permissions::from_mode(0o604)).unwrap();
        fs::hard_link(path(&target), path(&copy)).unwrap();
        symlink(&target, path(name)).unwrap();
        (option, name, target, copy)
    });
    let address = server.tcp[0].to_string();
    let all = with_outputs(&["-n", "500", &address]);
    let output = folder.bench(&all);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for (option, name, target, copy) in &linked {
        assert!(
            fs::symlink_metadata(path(name)).unwrap().is_symlink(),
            "{option}"
        );
        assert_ne!(folder.read(target), "old", "{option}");
        assert_eq!(folder.read(copy), "old", "{option}");
        let mode = fs::metadata(path(target)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o604, "{option}");
    }
    // No interval has ended, and the logs say so: they are new, and consist of their headers.
    assert_eq!(folder.read("r.csv").lines().count(), 1);
    assert!(folder.read("r.hlog").contains("[StartTime: "));
    assert_eq!(folder.names().len(), 3 * OUTPUTS.len());
}

#[test]
fn hlog_begins_when_measuring_begins() {
    let folder = Folder::new();
    let server = Process::serve(&[]);
    let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let address = server.tcp[0].to_string();
    for (interval, lines) in [("100ms", 3), ("10s", 0)] {
        let before = now();
        let times = ["-d", "400ms", "--warmup", "700ms", "--interval", interval];
        let output = folder.bench(&[&times[..], &["--hlog", "r.hlog", &address]].concat());
        let after = now();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let log = folder.read("r.hlog");
        let start = log.split("[StartTime: ").nth(1).unwrap();
        let start: f64 = start.split(' ').next().unwrap().parse().unwrap();
        assert!(start >= before + 0.699, "{before} {start} {after}");
        assert!(start <= after - 0.399, "{before} {start} {after}");
        let intervals = log.lines().filter(|line| line.contains("HISTF")).count();
        assert!(intervals >= lines, "{log}");
    }
}

/// The limit of a file's size is a disk that is full for this process alone.
#[test]
fn disk_that_is_full_keeps_old_results_and_leaves_no_temporary_file() {
    let folder = Folder::new();
    let server = Process::serve(&[]);
    let limited = |arguments: &str| {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -f 1; exec {} -q {arguments}", program());
        shell.args(["-c", &script]);
        finish(Running(folder.piped(shell).spawn().unwrap()))
    };
    let address = server.tcp[0];
    let outputs = "--json r.json --hgrm r.hgrm --trace t.json --csv r.csv";
    let output = limited(&format!("bench -n 2k {outputs} {address}"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stdout).contains("closed loop,"), "{output:?}");
    // The log reports the trace when it fails; the last line has all failures.
    let errors = text(&output.stderr);
    let line = errors.lines().last().unwrap();
    assert_eq!(errors.lines().count(), 2, "{errors}");
    for name in ["r.json", "r.hgrm", "t.json"] {
        assert!(line.contains(&format!("cannot write {name}: ")), "{line}");
        assert_eq!(folder.read(name), "old");
    }
    assert_eq!(folder.names(), OUTPUTS.map(|(_, name)| name));

    let trace = folder.bench(&["-n", "50", "--trace", "t.json", &address.to_string()]);
    assert_eq!(trace.status.code(), Some(0), "{trace:?}");
    let output = limited("report t.json -o r.json");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(folder.read("r.json"), "old");
    assert_eq!(folder.names(), OUTPUTS.map(|(_, name)| name));
}

#[test]
fn server_that_cannot_start_keeps_an_old_trace_and_one_that_is_killed_leaves_a_readable_one() {
    let folder = Folder::new();
    let (_listener, taken) = silent_server();
    let options = ["--no-udp", "--trace"];
    let line = folder.refusal(
        "serve",
        &[&options[..], &["absent/t", "--tcp", &taken]].concat(),
    );
    assert!(line.contains("there is no directory absent"), "{line}");
    folder.assert_untouched("it cannot start");
    let arguments = [&options[..], &["t.json", "--tcp", "127.0.0.1:0"]].concat();
    let mut child = folder.start("serve", &arguments);
    let mut first = [0; 10];
    child
        .0
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    eventually("the trace has its header", || {
        folder.read("t.json") != "old"
    });
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    folder.assert_untouched_but_for_a_trace();
}
