//! Warnings about what was typed.

use serde_json::Value;

use super::bench;
use super::process::Process;

#[test]
fn backslash_without_escapes_is_warned_about() {
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    let told = |arguments: &[&str]| {
        let output = bench(&[&["-n", "20", "--json", "-"], arguments, &[&address]].concat());
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let logged = stderr
            .lines()
            .filter(|line| line.contains("add -e"))
            .count();
        let warnings = json["warnings"].as_array().unwrap().clone();
        let warned = warnings
            .iter()
            .filter(|line| line.as_str().unwrap().contains("add -e"));
        (logged, warned.count())
    };
    // The report, which repeats the warning, is on stderr as well.
    assert_eq!(told(&["-m", r"a\n"]), (2, 1));
    assert_eq!(told(&["-m", r"a\n", "-e"]), (0, 0));
    assert_eq!(told(&["-m", r"C:\dir"]), (0, 0));
}
