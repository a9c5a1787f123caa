//! A copy of this tree, in which mistakes can be made.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The copy, and where it is built.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    target: PathBuf,
}

/// How tests have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Passed,
    Failed,
    TimedOut,
}

impl Tree {
    /// Copies what is, or will be, in the repository.
    pub(crate) fn copy() -> io::Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let proof = here.join("target/proof");
        let tree = Self {
            root: proof.join("tree"),
            target: proof.join("target"),
        };
        if tree.root.exists() {
            std::fs::remove_dir_all(&tree.root)?;
        }
        let listed = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(here)
            .output()?;
        let names = String::from_utf8_lossy(&listed.stdout);
        for name in names.split('\0').filter(|name| !name.is_empty()) {
            let (from, to) = (here.join(name), tree.root.join(name));
            // One that is deleted, but still listed, is no loss.
            if from.is_file() {
                std::fs::create_dir_all(to.parent().unwrap_or(&tree.root))?;
                std::fs::copy(from, to)?;
            }
        }
        Ok(tree)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Runs `cargo test` with these arguments, for at most that time once it is built. Returns what it printed, too.
    pub(crate) fn test(&self, arguments: &[String], most: Duration) -> (Ended, String) {
        let built = self.cargo(arguments, &["--no-run"], Duration::from_secs(900));
        if !matches!(built, Ok((Ended::Passed, _))) {
            return built.unwrap_or_else(|error| (Ended::Failed, format!("error: {error}")));
        }
        let ran = self.cargo(arguments, &[], most);
        ran.unwrap_or_else(|error| (Ended::Failed, format!("error: {error}")))
    }

    fn cargo(
        &self,
        arguments: &[String],
        more: &[&str],
        most: Duration,
    ) -> io::Result<(Ended, String)> {
        let log = self.target.with_extension("log");
        std::fs::create_dir_all(&self.target)?;
        let output = File::create(&log)?;
        let (program, before) = (more.is_empty().then_some("--nocapture"), arguments);
        let filter = before
            .iter()
            .position(|argument| !is_option(before, argument));
        let (options, filter) = before.split_at(filter.unwrap_or(before.len()));
        let mut child = Command::new(env!("CARGO"))
            .args(["test", "--locked"])
            .args(options)
            .args(more)
            .arg("--")
            .args(program)
            .args(filter)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // So that whatever it starts can be ended with it.
            .process_group(0)
            .spawn()?;
        let status = wait(&mut child, most)?;
        let mut printed = Vec::new();
        File::open(&log)?.read_to_end(&mut printed)?;
        let ended = match status {
            None => Ended::TimedOut,
            Some(status) if status.success() => Ended::Passed,
            Some(_) => Ended::Failed,
        };
        Ok((ended, String::from_utf8_lossy(&printed).into_owned()))
    }
}

/// Whether `argument` is an option of cargo's, or the value of one.
fn is_option(all: &[String], argument: &String) -> bool {
    let has_value = |option: &&String| matches!(option.as_str(), "--bin" | "--test");
    let value = all.iter().skip_while(|other| !has_value(other)).nth(1);
    argument.starts_with("--") || value == Some(argument)
}

/// Waits for `child`, and ends it and all it has started when that takes longer than `most`.
fn wait(child: &mut Child, most: Duration) -> io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if began.elapsed() > most {
            let group = format!("-{}", child.id());
            Command::new("kill")
                .args(["-KILL", "--", &group])
                .status()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(50));
    }
}
