//! `echoloop report`: a page of a trace, and what is no trace.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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
    assert!(output.status.success() && output.stderr.is_empty());
    let shown = folder.0.join("run.html");
    let told = format!("wrote {}: 0 connections, 2 records\n", shown.display());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), told);
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
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, "wrote the page: 0 connections, 2 records\n");
}

/// Runs `report` with `bytes` on standard input.
fn report_stdin(bytes: &[u8], arguments: &[&Path]) -> Output {
    let mut child = Command::new(program())
        .args(["report", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses the first bytes does not read the rest.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    child.wait_with_output().unwrap()
}

#[test]
fn trace_on_standard_input_becomes_a_page_on_standard_output() {
    let folder = Folder::new("stdin");
    let output = report_stdin(&trace(), &[]);
    assert!(output.status.success(), "{output:?}");
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, "wrote the page: 0 connections, 2 records\n");
    let file = folder.0.join("page.html");
    let output = report_stdin(&trace(), &[Path::new("-o"), &file]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), page);
    // A file that is read from is not replaced, whatever its name.
    let input = folder.write("run.json", &trace());
    let output = Command::new(program())
        .args(["report", "-", "-o"])
        .arg(&input)
        .stdin(fs::File::open(&input).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(fs::read(&input).unwrap(), trace());
}

#[test]
fn input_without_an_end_is_refused_by_its_first_bytes() {
    let zero = Path::new("/dev/zero");
    let (code, line) = mistake(&[zero]);
    assert_eq!(code, 2, "{line}");
    assert!(
        line.contains("/dev/zero is not an echoloop trace"),
        "{line}"
    );
    let output = report_stdin(b"\x1f\x8b\x08\0\0", &[]);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert!(
        line.starts_with(
            "echoloop: standard input is compressed with gzip: unpack it with 'gzip -dc' first"
        ),
        "{line}"
    );
}

#[test]
fn trace_whose_writer_was_killed_becomes_a_page_that_says_so() {
    let folder = Folder::new("no-end");
    let whole = String::from_utf8(trace()).unwrap();
    let cut = whole.rsplit_once(",\n").unwrap().0;
    let output = report(&[&folder.write("run.json", cut.as_bytes())]);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("0 connections, 2 records\nthe trace has no end: its writer was killed"),
        "{told}"
    );
    let page = fs::read_to_string(folder.0.join("run.html")).unwrap();
    assert!(page.contains("The trace has no end"));
}

#[test]
fn page_beside_its_trace_replaces_pages_only() {
    let folder = Folder::new("beside");
    let input = folder.write("run.json", &trace());
    let beside = folder.0.join("run.html");
    for other in [&b"<!doctype html>\n<p>mine</p>\n"[..], b"", b"\xff\xfe"] {
        fs::write(&beside, other).unwrap();
        let (code, line) = mistake(&[&input]);
        assert_eq!(code, 2, "{line}");
        assert!(
            line.contains("run.html exists and is not a page of echoloop report")
                && line.contains("with -o"),
            "{line}"
        );
        assert_eq!(fs::read(&beside).unwrap(), other);
    }
    // Given by name it is replaced, and after that it is a page.
    for arguments in [&[&*input, Path::new("-o"), &beside][..], &[&input]] {
        assert!(report(arguments).status.success());
        let page = fs::read_to_string(&beside).unwrap();
        assert!(page.ends_with("</html>\n"));
    }
    // Nobody would ever write to this one.
    fs::remove_file(&beside).unwrap();
    let made = Command::new("mkfifo").arg(&beside).status().unwrap();
    assert!(made.success());
    let (code, line) = mistake(&[&input]);
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("is not a page"), "{line}");
}

#[test]
fn what_is_no_trace_is_one_line_with_its_remedy_and_exit_2() {
    let folder = Folder::new("no-trace");
    let damaged = String::from_utf8(trace())
        .unwrap()
        .replace("\"poll\"", "\"po\nll\"");
    for (name, bytes, told) in [
        ("empty", &b""[..], "is not an echoloop trace: give a file"),
        (
            "json",
            b"[{\"a\": 1}]",
            "is not an echoloop trace: give a file",
        ),
        (
            "binary",
            b"\x7fELF\xff\xfe\x00",
            "is not an echoloop trace: give a file",
        ),
        (
            "damaged",
            damaged.as_bytes(),
            "is not an event of a trace: the file was damaged",
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
