//! Traces that were changed to do harm: the program refuses them or makes a page, in little memory.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;
#[allow(unreachable_pub)]
#[path = "support/seeds.rs"]
mod seeds;
#[path = "support/traces.rs"]
mod traces;

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use program::program;
use seeds::{Random, live_all};
use traces::{CLIENT, SERVER};

/// What numbers, texts and events are replaced by.
const VALUES: [&str; 16] = [
    "0",
    "-1",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "3153600000000000.000",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e300",
    "-0.0",
    "null",
    "true",
    "\"\\u2028</script>\"",
    "[[[[[[[[]]]]]]]]",
    "{\"a\":{\"b\":[0,0,0]}}",
];

/// A trace in which up to eight things were changed.
fn mutant(random: &mut Random) -> Vec<u8> {
    let base = if random.below(2) == 0 {
        &*CLIENT
    } else {
        &*SERVER
    };
    let mut bytes = base.clone().into_bytes();
    for _ in 0..random.size(8) {
        let at = random.below(bytes.len().max(1));
        let value = VALUES[random.below(VALUES.len())].as_bytes();
        match random.below(8) {
            // Most of all the numbers.
            0..=3 => {
                let number = number_after(&bytes, at);
                replace(&mut bytes, number, value);
            }
            4 => {
                let line = line_at(&bytes, at);
                let copy = bytes[line.clone()].to_vec();
                replace(&mut bytes, line.end..line.end, &copy);
            }
            5 => {
                let line = line_at(&bytes, at);
                replace(&mut bytes, line, b"");
            }
            6 => replace(&mut bytes, at..at + 1, &[random.below(256) as u8]),
            _ if random.below(8) == 0 => bytes.truncate(at),
            _ => replace(&mut bytes, at..at, value),
        }
    }
    bytes
}

fn replace(bytes: &mut Vec<u8>, range: Range<usize>, value: &[u8]) {
    let end = range.end.min(bytes.len());
    bytes.splice(range.start.min(end)..end, value.iter().copied());
}

/// The first number that follows `at`.
fn number_after(bytes: &[u8], at: usize) -> Range<usize> {
    let at = at.min(bytes.len());
    let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let start = bytes[at..].iter().position(is_digit);
    let start = start.map_or(bytes.len(), |start| at + start);
    let length = bytes[start..]
        .iter()
        .take_while(|byte| is_digit(byte))
        .count();
    start..start + length
}

/// The line around `at`, with its end.
fn line_at(bytes: &[u8], at: usize) -> Range<usize> {
    let at = at.min(bytes.len());
    let is_end = |byte: &u8| *byte == b'\n';
    let start = bytes[..at]
        .iter()
        .rposition(is_end)
        .map_or(0, |end| end + 1);
    let end = bytes[at..].iter().position(is_end);
    start..end.map_or(bytes.len(), |end| at + end + 1)
}

#[test]
fn every_mutant_is_refused_or_shown() {
    let count = live_all(4_000, |seed| {
        traces::trace(&mutant(&mut Random::new(seed)));
        1
    });
    assert!(count.is_none_or(|count| count >= 4_000));
}

/// Runs the program with 64 MiB of memory that it may write to (RLIMIT_DATA), and `input` as its input.
fn limited(arguments: &[&Path], input: &[u8]) -> Output {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -d 65536 && exec \"$@\"", "sh", program()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Runs both commands that read traces. Neither panics, is killed, or says more than one line of an error.
fn read_by_both(input: &[u8], other: &Path) -> [i32; 2] {
    let (stdin, null) = (Path::new("/dev/stdin"), Path::new("/dev/null"));
    let output = Path::new("-o");
    [
        &[Path::new("report"), stdin, output, null][..],
        &[Path::new("trace-merge"), stdin, other, output, null],
    ]
    .map(|arguments| {
        let done = limited(arguments, input);
        let (code, errors) = (done.status.code(), String::from_utf8(done.stderr).unwrap());
        let shown = String::from_utf8_lossy(&input[..input.len().min(4_000)]);
        let Some(code @ (0 | 2)) = code else {
            panic!("{code:?} {errors}: {shown}");
        };
        let lines = errors.lines().filter(|line| line.starts_with("echoloop: "));
        assert_eq!(lines.count(), usize::from(code == 2), "{errors}: {shown}");
        code
    })
}

/// The trace of a server, in a file that is removed.
struct Other(PathBuf);

impl Other {
    fn new(name: &str) -> Self {
        let name = format!("echoloop-hostile-{}-{name}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, &*SERVER).unwrap();
        Self(path)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn mutants_take_less_than_64_mib() {
    let other = Other::new("mutants");
    let mut codes = [0; 3];
    for seed in 0..200 {
        for code in read_by_both(&mutant(&mut Random::new(seed)), &other.0) {
            codes[code as usize] += 1;
        }
    }
    assert!(codes[0] > 10 && codes[2] > 10, "{codes:?}");
}

#[test]
fn numbers_of_a_file_allocate_nothing() {
    let other = Other::new("numbers");
    // Case by case: a slot, a count, a time, a process.
    for (old, new) in [
        (r#""who":21474836480"#, r#""who":18446744073709551615"#),
        (r#""who":21474836480"#, r#""who":4294967295"#),
        (r#""events":1"#, r#""events":4294967295"#),
        (r#""asked":1024"#, r#""asked":4294967295"#),
        (r#""dur":0.200"#, r#""dur":3153600000000000"#),
        (r#""pid":2"#, r#""pid":18446744073709551615"#),
        (r#""tid":1,"#, r#""tid":18446744073709551615,"#),
    ] {
        let text = SERVER.replace(old, new);
        assert!(text != *SERVER, "{old}");
        read_by_both(text.as_bytes(), &other.0);
    }
}

#[test]
fn memory_is_proportional_to_the_file() {
    let other = Other::new("proportional");
    let head = CLIENT.split_once(",\n").unwrap().0;
    let mebibyte = 1 << 20;
    // Few bytes that need much memory: short events, connections, and values that are not used.
    let turn = r#",{"pid":1,"ph":"X","tid":1,"name":"turn","ts":1,"dur":0}"#;
    let turns = format!("{head}{}]", turn.repeat(mebibyte / turn.len()));
    let connections = (0..mebibyte / 80).map(|number| {
        format!(
            r#",{{"pid":1,"ph":"i","name":"open","ts":1,"args":{{"who":{number},"client":"[::]:1"}}}}"#
        )
    });
    let connections = format!("{head}{}]", connections.collect::<String>());
    let values = format!(
        r#"{head},{{"pid":1,"args":{{"a":[{}0]}}}}]"#,
        "0,".repeat(4 * mebibyte)
    );
    // Cut off, as by the end of its writer.
    let depth = format!(r#"{head},{{"pid":1,"a":{}"#, "[".repeat(8 * mebibyte));
    for text in [turns, connections, values, depth] {
        assert_eq!(read_by_both(text.as_bytes(), &other.0), [0, 0]);
    }
}
