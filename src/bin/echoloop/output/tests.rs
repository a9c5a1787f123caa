//! Outputs to every kind of file.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{io, thread};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

/// A directory that is removed at the end of its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "echoloop-output-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(fs::canonicalize(path).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        path
    }

    /// The names of all files, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
        let mut names: Vec<String> = entries.map(|entry| name(entry).unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn check(path: &Path) -> Destination {
    Destination::check("--csv", path).unwrap()
}

fn write(path: &Path, text: &str) {
    check(path).open().unwrap().write(text).unwrap();
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The one line that refuses this path.
fn refusal(path: &Path) -> String {
    let outcome = Destination::check("--csv", path).and_then(|output| output.open());
    match outcome {
        Err(Failure::Usage(line)) => line,
        other => panic!("{path:?}: {other:?}"),
    }
}

#[test]
fn a_new_file_has_the_usual_mode_and_leaves_no_temporary_file() {
    let folder = Folder::new();
    let usual = folder.write("usual", "");
    let path = folder.path("new");
    write(&path, "text");
    assert_eq!(read(&path), "text");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode();
    assert_eq!(mode(&path), mode(&usual));
    assert_eq!(folder.names(), ["new", "usual"]);
}

#[test]
fn an_existing_file_is_replaced_at_the_first_flush_and_keeps_its_mode_and_owner() {
    let folder = Folder::new();
    let path = folder.write("old", "old");
    fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(&path, Some(1234), Some(4321)).unwrap();
    }
    let before = fs::metadata(&path).unwrap();
    let mut reader = File::open(&path).unwrap();

    let mut sink = check(&path).open().unwrap().sink;
    sink.write_all(b"one").unwrap();
    assert_eq!((read(&path).as_str(), folder.names().len()), ("old", 1));
    sink.flush().unwrap();
    assert_eq!((read(&path).as_str(), folder.names().len()), ("one", 1));
    sink.write_all(b" two").unwrap();
    sink.flush().unwrap();
    assert_eq!(read(&path), "one two");

    let after = fs::metadata(&path).unwrap();
    let kept = |metadata: &fs::Metadata| (metadata.mode(), metadata.uid(), metadata.gid());
    assert_eq!(kept(&after), kept(&before));
    let mut old = String::new();
    reader.read_to_string(&mut old).unwrap();
    assert_eq!(old, "old", "an open reader keeps the old file");
}

#[test]
fn sink_dropped_before_its_first_flush_keeps_the_old_file() {
    let folder = Folder::new();
    let path = folder.write("old", "old");
    let mut sink = check(&path).open().unwrap().sink;
    for _ in 0..3 {
        // More than is kept in memory.
        sink.write_all(&[b'x'; 100_000]).unwrap();
    }
    assert_eq!(folder.names().len(), 2);
    drop(sink);
    assert_eq!((read(&path).as_str(), folder.names().len()), ("old", 1));
}

#[test]
fn large_output_is_complete_and_in_order_after_its_first_flush() {
    let folder = Folder::new();
    let path = folder.write("old", "old");
    let mut sink = check(&path).open().unwrap().sink;
    let text: String = (0..50_000).map(|number| format!("{number}\n")).collect();
    for line in text.split_inclusive('\n') {
        sink.write_all(line.as_bytes()).unwrap();
    }
    sink.flush().unwrap();
    assert_eq!(read(&path), text);
    assert_eq!(folder.names(), ["old"]);
}

#[test]
fn a_symbolic_link_stays_and_its_target_is_replaced() {
    let folder = Folder::new();
    fs::create_dir(folder.path("data")).unwrap();
    let target = folder.write("data/target", "old");
    for (link, to) in [("direct", "data/target"), ("indirect", "direct")] {
        let link = folder.path(link);
        symlink(to, &link).unwrap();
        write(&link, to);
        assert_eq!(read(&target), to);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
    symlink("data/created", folder.path("dangling")).unwrap();
    write(&folder.path("dangling"), "new");
    assert_eq!(read(&folder.path("data/created")), "new");
    symlink("loop", folder.path("loop")).unwrap();
    assert!(refusal(&folder.path("loop")).contains("symbolic links"));
}

#[test]
fn paths_that_cannot_be_written_are_refused_with_value_and_remedy() {
    let folder = Folder::new();
    let old = folder.write("old", "old");
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).unwrap();
    for (path, told) in [
        (folder.0.clone(), "is a directory; give the name of a file"),
        (folder.path("new/"), "names a directory"),
        (folder.path("absent/new"), "there is no directory"),
        (old.join("new"), "Not a directory"),
        (folder.path("socket"), "is a socket"),
        (PathBuf::new(), "is empty"),
    ] {
        let line = refusal(&path);
        assert!(line.starts_with("--csv ") && line.contains(told), "{line}");
        assert!(line.contains("; "), "no remedy: {line}");
    }
    assert_eq!(folder.names(), ["old", "socket"]);
}

#[test]
fn a_fifo_without_a_reader_is_refused_and_one_with_a_slow_reader_gets_everything() {
    let folder = Folder::new();
    let path = folder.fifo("fifo");
    let line = refusal(&path);
    assert!(line.contains("start its reader first"), "{line}");
    let text = "x".repeat(300_000);
    let from = path.clone();
    // Opening waits for the writer.
    let reader = thread::spawn(move || read(&from));
    let opened = loop {
        match check(&path).open() {
            Ok(opened) => break opened,
            Err(_) => thread::yield_now(),
        }
    };
    opened.write(&text).unwrap();
    assert_eq!(reader.join().unwrap(), text);
    assert_eq!(folder.names(), ["fifo"]);
}

#[test]
fn devices_are_written_in_place_and_their_errors_are_reported() {
    write(Path::new("/dev/null"), "text");
    let full = check(Path::new("/dev/full")).open().unwrap();
    let Err(Failure::Failed(line)) = full.write("text") else {
        panic!("/dev/full takes something")
    };
    assert!(
        line.starts_with("cannot write /dev/full: No space"),
        "{line}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn the_file_of_a_descriptor_is_appended_to_in_place() {
    let folder = Folder::new();
    let path = folder.write("log", "old ");
    let held = File::open(&path).unwrap();
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let mut paths = descriptors.map(|entry| entry.unwrap().path());
    let leads_there = |entry: &PathBuf| fs::read_link(entry).is_ok_and(|end| end == path);
    let descriptor = paths.find(leads_there).unwrap();
    write(&descriptor, "new");
    assert_eq!(read(&path), "old new");
    assert_eq!(
        held.metadata().unwrap().ino(),
        fs::metadata(&path).unwrap().ino()
    );
}

#[test]
fn one_file_under_two_names_is_refused_with_both_options() {
    let folder = Folder::new();
    let old = folder.write("old", "old");
    fs::hard_link(&old, folder.path("hard")).unwrap();
    symlink("old", folder.path("soft")).unwrap();
    symlink("new", folder.path("dangling")).unwrap();
    let same = |one: &Path, other: &Path| {
        let (one, other) = (check(one), Destination::check("--hlog", other).unwrap());
        match check_distinct(&[&one, &other], &[]) {
            Err(Failure::Usage(line)) => {
                assert!(
                    line.contains("--csv ") && line.contains("--hlog "),
                    "{line}"
                );
                true
            }
            outcome => {
                outcome.unwrap();
                false
            }
        }
    };
    for name in ["old", "hard", "soft", "./old"] {
        assert!(same(&old, &folder.path(name)), "{name}");
    }
    assert!(same(&folder.path("new"), &folder.path("dangling")));
    assert!(same(Path::new("-"), Path::new("-")));
    assert!(!same(Path::new("/dev/null"), Path::new("/dev/null")));
    assert!(!same(&folder.path("new"), &folder.path("newer")));
}

#[test]
fn an_output_that_would_replace_an_input_is_refused() {
    let folder = Folder::new();
    let input = folder.write("input", "text");
    fs::hard_link(&input, folder.path("hard")).unwrap();
    let inputs = [("TRACE input".to_owned(), input.as_path())];
    let refused = |path: &Path| check_distinct(&[&check(path)], &inputs).is_err();
    assert!(refused(&input) && refused(&folder.path("hard")));
    assert!(!refused(&folder.path("other")));
}

#[test]
fn a_temporary_file_of_a_killed_program_is_not_in_the_way() {
    let folder = Folder::new();
    let path = folder.path(&"n".repeat(250));
    let left = format!(".{}.echoloop-{}", "n".repeat(200), std::process::id());
    folder.write(&left, "left");
    write(&path, "text");
    assert_eq!(
        (read(&path), read(&folder.path(&left))),
        ("text".to_owned(), "left".to_owned())
    );
    assert_eq!(folder.names().len(), 2);
}
