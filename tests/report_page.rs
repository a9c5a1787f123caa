//! `echoloop report`: a page of a trace, and what is no trace.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use echoloop::probe::{Record, Role, What};
use echoloop::trace::{End, TraceWriter};
use program::program;

/// A folder that goes when it is no longer needed.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("echoloop-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn trace() -> Vec<u8> {
    let mut bytes = Vec::new();
    let name = "serve </script>";
    let mut writer = TraceWriter::begin(&mut bytes, Role::Server, name, 1, 100).unwrap();
    let of = |at, took, what| Record {
        at,
        took,
        who: None,
        what,
    };
    let poll = What::Poll {
        events: 1,
        full: false,
    };
    // Long enough for a lint.
    let records = [of(1_000, 500, poll), of(1_500, 12_000_000, What::Turn)];
    writer.write(&records).unwrap();
    let at = 12_001_500;
    let (overflows, missed) = (None, 0);
    writer
        .finish(End {
            at,
            overflows,
            missed,
        })
        .unwrap();
    bytes
}

fn report(arguments: &[&Path]) -> Output {
    let mut command = Command::new(program());
    command.arg("report").args(arguments).output().unwrap()
}

/// One line that names the file, on stderr, and an exit code.
fn mistake(arguments: &[&Path]) -> (i32, String) {
    let output = report(arguments);
    assert!(output.stdout.is_empty());
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("echoloop: "), "{line}");
    (output.status.code().unwrap(), line)
}

#[test]
fn a_trace_becomes_a_page_beside_it_or_where_it_is_told_to() {
    let folder = Folder::new("page");
    let input = folder.write("run.json", &trace());
    let output = report(&[&input]);
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty());
    let page = fs::read_to_string(folder.0.join("run.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("<h1>serve &lt;/script&gt;</h1>") && page.contains("long-turn"));
    assert!(page.contains("<dd>run.json</dd>") && page.contains(" UTC</dd>"));
    let elsewhere = folder.0.join("other.html");
    assert!(
        report(&[&input, Path::new("-o"), &elsewhere])
            .status
            .success()
    );
    assert_eq!(fs::read_to_string(elsewhere).unwrap(), page);
    let output = report(&[&input, Path::new("-o"), Path::new("-")]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), page);
}

#[test]
fn what_is_no_trace_is_one_line_with_its_remedy_and_exit_2() {
    let folder = Folder::new("no-trace");
    let damaged = String::from_utf8(trace())
        .unwrap()
        .replace("\"poll\"", "\"po\nll\"");
    for (name, bytes, told) in [
        ("empty", &b""[..], "is no trace of echoloop: give a file"),
        (
            "json",
            b"[{\"a\": 1}]",
            "is no trace of echoloop: give a file",
        ),
        (
            "binary",
            b"\x7fELF\xff\xfe\x00",
            "is no trace of echoloop: give a file",
        ),
        (
            "damaged",
            damaged.as_bytes(),
            "is no event of a trace: the file was damaged",
        ),
    ] {
        let input = folder.write(name, bytes);
        let (code, line) = mistake(&[&input]);
        assert_eq!(code, 2, "{line}");
        assert!(
            line.contains(told) && line.contains(&*input.to_string_lossy()),
            "{line}"
        );
        assert!(!input.with_extension("html").exists());
    }
    let absent = folder.0.join("absent");
    for path in [absent.join("trace"), absent, folder.0.clone()] {
        let (code, line) = mistake(&[&path]);
        assert_eq!(code, 2, "{line}");
        assert!(
            line.contains("cannot read") && line.contains("--trace"),
            "{line}"
        );
        assert!(line.contains(&*path.to_string_lossy()), "{line}");
    }
}

#[test]
fn page_that_cannot_be_written_is_refused() {
    let folder = Folder::new("unwritable");
    let input = folder.write("run.json", &trace());
    let output = folder.0.join("absent").join("page.html");
    let (code, line) = mistake(&[&input, Path::new("-o"), &output]);
    assert_eq!(code, 2, "{line}");
    assert!(
        line.contains("there is no directory") && line.contains("page.html"),
        "{line}"
    );
}

#[test]
fn a_page_does_not_take_the_place_of_its_trace() {
    let folder = Folder::new("same");
    let input = folder.write("run.html", &trace());
    for arguments in [&[&*input][..], &[&input, Path::new("-o"), &input]] {
        let (code, line) = mistake(arguments);
        assert_eq!(code, 2, "{line}");
        assert!(line.contains("another file with -o"), "{line}");
    }
    assert_eq!(fs::read(input).unwrap(), trace());
}
