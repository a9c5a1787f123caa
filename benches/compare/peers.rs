//! Who is compared with: built of `benches/peers`, with what is there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::table::say;

/// This program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_echoloop");

/// Those that cargo builds.
const RUST: [&str; 7] = [
    "epoll",
    "tokio",
    "smol",
    "message_io",
    "threads",
    "blocking",
    "datagrams",
];

/// A library, and the package of Debian that has it.
type Library = (&'static str, &'static str);

/// Those of C: their name, their source, and the library they need.
const C: [(&str, &str, Option<Library>); 3] = [
    ("libuv", "uv", Some(("libuv", "libuv1-dev"))),
    ("libevent", "event", Some(("libevent", "libevent-dev"))),
    ("client", "client", None),
];

/// Those that could be built, and where they are.
pub(crate) struct Peers(Vec<(&'static str, PathBuf)>);

impl Peers {
    /// Builds what can be built, and says what is left out and why.
    pub(crate) fn build() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (sources, target) = (root.join("benches/peers"), root.join("target/peers"));
        let mut peers = Vec::new();
        match rust(&sources, &target) {
            Ok(()) => peers.extend(RUST.map(|name| (name, target.join("release").join(name)))),
            Err(why) => say(&format!("{}: left out: {why}", RUST.join(", "))),
        }
        for (name, source, library) in C {
            match c(&sources, &target, source, library) {
                Ok(path) => peers.push((name, path)),
                Err(why) => say(&format!("{name}: left out: {why}")),
            }
        }
        match go(&sources, &target) {
            Ok(path) => peers.push(("go", path)),
            Err(why) => say(&format!("go: left out: {why}")),
        }
        Self(peers)
    }

    /// Where `name` is, if it could be built.
    pub(crate) fn find(&self, name: &str) -> Option<&Path> {
        let found = self.0.iter().find(|(peer, _)| *peer == name);
        found.map(|(_, path)| path.as_path())
    }
}

fn rust(sources: &Path, target: &Path) -> Result<(), String> {
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--manifest-path",
        ])
        .arg(sources.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target);
    run(cargo)
}

fn c(
    sources: &Path,
    target: &Path,
    source: &str,
    library: Option<Library>,
) -> Result<PathBuf, String> {
    let mut flags = String::new();
    if let Some((library, package)) = library {
        let output = Command::new("pkg-config")
            .args(["--cflags", "--libs", library])
            .output()
            .map_err(|error| format!("pkg-config: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "{library} is not there (Debian has it in {package})"
            ));
        }
        flags = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    let path = out(target, "c", source)?;
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-o"])
        .arg(&path)
        .arg(sources.join("c").join(source).with_extension("c"))
        .args(flags.split_whitespace());
    run(cc)?;
    Ok(path)
}

fn go(sources: &Path, target: &Path) -> Result<PathBuf, String> {
    let path = out(target, "go", "echo")?;
    let mut go = Command::new("go");
    go.args(["build", "-o"])
        .arg(&path)
        .current_dir(sources.join("go"));
    run(go)?;
    Ok(path)
}

/// Where a program goes, with its folder made.
fn out(target: &Path, folder: &str, name: &str) -> Result<PathBuf, String> {
    let folder = target.join(folder);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder.join(name))
}

/// Runs what builds, and says in one line why it could not.
fn run(mut command: Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{name}: {}",
        said.lines().next().unwrap_or("failed")
    ))
}
