//! The house is acyclic: a folder imports only folders above it in the list of `lib.rs`.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up: each may import those before it.
const FOLDERS: [&str; 10] = [
    "connection",
    "service",
    "probe",
    "trace",
    "reactor",
    "server",
    "client",
    "load",
    "report",
    "lab",
];

/// What only the loop and the roles above it may know. Services judge addresses, which are no sockets.
const IMPURE: [&str; 6] = [
    "std::net::Tcp",
    "std::net::Udp",
    "std::os::fd",
    "socket2::",
    "Instant::now",
    "SystemTime",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// The code of a file: without comments, and without its tests, which may use what they like.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn folders_import_only_those_before_them() {
    for (floor, folder) in FOLDERS.iter().enumerate() {
        let files = sources(&src().join(folder));
        assert!(!files.is_empty());
        for file in files {
            for later in &FOLDERS[floor + 1..] {
                let import = format!("crate::{later}");
                assert!(
                    !code(&file).contains(&import),
                    "{} imports {import}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn the_list_of_folders_is_complete() {
    let folders = fs::read_dir(src())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = folders
        .filter(|path| path.is_dir() && !path.ends_with("bin"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    let mut expected = FOLDERS.to_vec();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn only_the_reactor_names_mio() {
    for file in sources(&src()) {
        let inside = file.starts_with(src().join("reactor"));
        let named = code(&file).contains("mio::") && !code(&file).contains("signal_hook_mio::");
        assert!(inside || !named, "{} names mio", file.display());
    }
}

#[test]
fn the_pure_folders_hold_no_socket_and_no_clock() {
    for folder in ["connection", "service", "probe", "trace", "report"] {
        for file in sources(&src().join(folder)) {
            for word in IMPURE {
                assert!(!code(&file).contains(word), "{} has {word}", file.display());
            }
        }
    }
}

/// Pitfalls 10 and 21: after a peek that would block, events can cease; and a second way to write is a
/// second set of short writes to get right.
#[test]
fn pitfall_10_and_21_nobody_peeks_and_there_is_one_way_to_write() {
    for file in sources(&src()) {
        for call in [
            ".peek(&mut",
            "peek_from(",
            "write_vectored",
            "send_vectored",
        ] {
            assert!(!code(&file).contains(call), "{} has {call}", file.display());
        }
    }
}

/// Pitfall 44: looking a name up waits for others, which no loop may: the program does, before there is one.
#[test]
fn pitfall_44_nobody_looks_a_name_up_but_the_program_at_its_start() {
    let names = src().join("bin/echoloop/names.rs");
    for file in sources(&src()).into_iter().filter(|file| *file != names) {
        for call in [
            "to_socket_addrs",
            "ToSocketAddrs",
            "getaddrinfo",
            "lookup_host",
        ] {
            assert!(!code(&file).contains(call), "{} has {call}", file.display());
        }
    }
    assert!(code(&names).contains("to_socket_addrs"));
}

/// Pitfall 45: a poll has one waker, and what is done to a descriptor behind mio's back loses events on some platforms.
#[test]
fn pitfall_45_there_is_one_waker_and_no_raw_descriptor_outside_the_reactor() {
    let mut wakers = 0;
    for file in sources(&src()) {
        wakers += code(&file).matches("mio::Waker::new").count();
        let inside = file.starts_with(src().join("reactor"));
        for word in ["RawFd", "FromRaw", "IntoRaw", "as_raw_fd", "SourceFd"] {
            let named = code(&file).contains(word);
            assert!(inside || !named, "{} has {word}", file.display());
        }
    }
    assert_eq!(wakers, 1);
}

#[test]
fn files_stay_within_four_hundred_lines() {
    for file in sources(&src()) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 400, "{} has {lines} lines", file.display());
    }
}

/// The folders of the load generator, from the lowest on: each may import those before it.
const LOAD_FOLDERS: [&str; 5] = ["schedule", "result", "verify", "datagrams", "connections"];

/// The modules of the load generator that `file` imports, as paths below `src/load`, without `.rs`.
fn load_imports(file: &Path) -> Vec<String> {
    let text = code(file);
    let inside = file.parent().unwrap() == src().join("load");
    let prefixes: &[&str] = if inside {
        &["use crate::load::", "use super::"]
    } else {
        &["use crate::load::"]
    };
    let lines = text.lines().map(str::trim_start);
    let paths =
        lines.filter_map(|line| prefixes.iter().find_map(|prefix| line.strip_prefix(prefix)));
    let modules = paths.map(|path| {
        let words = path.split("::").map(|word| word.trim_end_matches(';'));
        let module = words.take_while(|word| {
            word.chars()
                .next()
                .is_some_and(|first| first.is_ascii_lowercase())
        });
        module.collect::<Vec<_>>().join("/")
    });
    modules.filter(|module| !module.is_empty()).collect()
}

#[test]
fn folders_of_the_load_generator_import_only_those_before_them() {
    for (floor, folder) in LOAD_FOLDERS.iter().enumerate() {
        for file in sources(&src().join("load").join(folder)) {
            for import in load_imports(&file) {
                let later = &LOAD_FOLDERS[floor + 1..];
                let upwards = later.iter().any(|later| import.starts_with(later));
                assert!(!upwards, "{} imports {import}", file.display());
            }
        }
    }
}

#[test]
fn files_of_the_load_generator_do_not_import_each_other_in_a_cycle() {
    let root = src().join("load");
    let files = sources(&root).into_iter();
    let files = files.filter(|file| !file.ends_with("mod.rs") && !file.ends_with("tests.rs"));
    let mut imports: Vec<(String, Vec<String>)> = files
        .map(|file| {
            let name = file.strip_prefix(&root).unwrap().with_extension("");
            (name.to_str().unwrap().to_owned(), load_imports(&file))
        })
        .filter(|(name, _)| !name.starts_with("simulation"))
        .collect();
    assert!(imports.iter().any(|(_, imports)| !imports.is_empty()));
    // Repeatedly removes files that import no remaining file. The rest are cycles.
    while !imports.is_empty() {
        let names: Vec<String> = imports.iter().map(|(name, _)| name.clone()).collect();
        let before = imports.len();
        imports.retain(|(name, imported)| {
            imported
                .iter()
                .any(|import| import != name && names.contains(import))
        });
        assert!(imports.len() < before, "in a cycle: {imports:?}");
    }
}

/// Every test that the guide names is there, under that name.
#[test]
fn the_guide_names_tests_that_exist() {
    let guide = fs::read_to_string(src().join("guide.md")).unwrap();
    let mut files = sources(&src());
    files.extend(sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"),
    ));
    let code: String = files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let quoted = guide.split('`').skip(1).step_by(2);
    let tests: Vec<&str> = quoted
        .filter(|name| name.matches('_').count() > 4 && !name.contains([':', ' ']))
        .collect();
    assert!(tests.len() > 20, "{tests:?}");
    for test in tests {
        assert!(
            code.contains(&format!("fn {test}(")),
            "there is no test {test}"
        );
    }
}

/// A mistake that can't be made any more proves nothing, and is found out late.
#[test]
fn every_mistake_of_the_list_can_still_be_made() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(root.join("tests/mutants.txt")).unwrap();
    let (mut code, mut old, mut edits) = (String::new(), Vec::new(), 0);
    for line in list.lines() {
        if let Some(file) = line.strip_prefix("@ ") {
            code = fs::read_to_string(root.join(file)).unwrap();
        }
        if let Some(there) = line.strip_prefix("- ") {
            old.push(there);
        } else if !old.is_empty() {
            let there = std::mem::take(&mut old).join("\n");
            assert!(code.contains(&there), "nowhere: {there}");
            edits += 1;
        }
    }
    assert!(edits > 60, "{edits}");
}
