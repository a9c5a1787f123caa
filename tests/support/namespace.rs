//! Tests that need a network of their own: ports and kernel settings that no other program uses.

use std::env;
use std::fs;
use std::process::Command;

/// Set in the process that runs inside the namespace.
const INSIDE: &str = "ECHOLOOP_TEST_NAMESPACE";

/// Runs the test `name` (its full path) of this program again in a network namespace of its own.
///
/// Returns `true` inside the namespace, where loopback is up: run the test. Returns `false`
/// outside: the test has been run, or the kernel forbids namespaces and the reason has been
/// printed.
pub fn enter(name: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        let up = Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status();
        assert!(up.unwrap().success(), "loopback can't be set up");
        return true;
    }
    // Root needs no user namespace; other users need one to own the network namespace.
    let Some(options) = ["-n", "-Urn"].into_iter().find(|options| works(options)) else {
        println!(
            "{name}: skipped: unshare(1) cannot create a network namespace here, or ip(8) is missing"
        );
        return false;
    };
    let output = Command::new("unshare")
        .arg(options)
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{out}\n{error}");
    assert!(
        out.contains("1 passed"),
        "no test has the name {name}: {out}"
    );
    false
}

fn works(options: &str) -> bool {
    let mut command = Command::new("unshare");
    command.args([options, "ip", "link", "set", "lo", "up"]);
    command.output().is_ok_and(|output| output.status.success())
}

/// Sets a kernel parameter of this namespace, by its path below `/proc/sys`.
pub fn set(parameter: &str, value: &str) {
    fs::write(format!("/proc/sys/{parameter}"), value)
        .unwrap_or_else(|error| panic!("{parameter}: {error}"));
}
