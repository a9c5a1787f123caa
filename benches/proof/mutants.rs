//! Mistakes, committed on purpose, and the tests that are to notice.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::tree::{Ended, Tree};

/// How long a test may take that a mistake has made endless.
const ENDLESS: Duration = Duration::from_secs(180);

/// A mistake.
#[derive(Debug)]
pub(crate) struct Mutant {
    /// The pitfall that it falls into.
    pub(crate) pitfall: u32,
    pub(crate) mistake: String,
    edits: Vec<Edit>,
    /// The arguments of `cargo test`.
    test: Vec<String>,
}

/// A piece of a file, and what it becomes.
#[derive(Debug, Default)]
struct Edit {
    file: String,
    old: Vec<String>,
    new: Vec<String>,
}

/// What came of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Killed,
    /// By its time.
    Hung,
    Survived,
    /// It proves nothing: it does not apply, or is no program.
    Void(String),
}

impl Mutant {
    /// Reads a list of them, in the form that it describes itself.
    pub(crate) fn parse(list: &str) -> Result<Vec<Self>, String> {
        let mut mutants: Vec<Self> = Vec::new();
        for line in list.lines().skip_while(|line| !line.starts_with("# ")) {
            let (kind, rest) = line.split_at(line.len().min(1));
            let rest = rest.strip_prefix(' ').unwrap_or(rest).to_owned();
            if kind == "#" {
                mutants.push(Self::begin(&rest)?);
                continue;
            }
            let mutant = mutants.last_mut().ok_or("no mutant has begun")?;
            match kind {
                "" => {}
                "@" => mutant.edits.push(Edit {
                    file: rest,
                    ..Edit::default()
                }),
                "-" => mutant.edit(|edit| !edit.new.is_empty())?.old.push(rest),
                "+" => mutant.edit(|_| false)?.new.push(rest),
                "$" => mutant.test = rest.split(' ').map(str::to_owned).collect(),
                other => return Err(format!("'{other}' begins no line of a mutant: '{line}'")),
            }
        }
        Ok(mutants)
    }

    fn begin(title: &str) -> Result<Self, String> {
        let (number, mistake) = title.split_once(' ').ok_or("a mutant has no mistake")?;
        let pitfall = number.parse();
        Ok(Self {
            pitfall: pitfall.map_err(|error| format!("'{number}' is no pitfall: {error}"))?,
            mistake: mistake.to_owned(),
            edits: Vec::new(),
            test: Vec::new(),
        })
    }

    /// The edit that a line belongs to: a new one of the same file, if the last `is_over`.
    fn edit(&mut self, is_over: impl Fn(&Edit) -> bool) -> Result<&mut Edit, String> {
        let last = self.edits.last().ok_or("an edit is in no file")?;
        if is_over(last) {
            let file = last.file.clone();
            self.edits.push(Edit {
                file,
                ..Edit::default()
            });
        }
        self.edits
            .last_mut()
            .ok_or_else(|| "there is one".to_owned())
    }

    /// Commits it in `tree`, runs the tests that are to notice, and takes it back.
    pub(crate) fn try_on(&self, tree: &Tree) -> Fate {
        let mut before = Vec::new();
        let applied = self.edits.iter().try_for_each(|edit| {
            let path = tree.path(&edit.file);
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
            let (old, new) = (edit.old.join("\n"), edit.new.join("\n"));
            if !text.contains(&old) {
                return Err(format!("{} has no '{old}' any more", edit.file));
            }
            before.push((path.clone(), text.clone()));
            write(&path, &text.replacen(&old, &new, 1))
        });
        let fate = applied.map_or_else(Fate::Void, |()| self.judge(tree));
        for (path, text) in before.iter().rev() {
            if let Err(error) = write(path, text) {
                return Fate::Void(error);
            }
        }
        fate
    }

    fn judge(&self, tree: &Tree) -> Fate {
        let (ended, output) = tree.test(&self.test, ENDLESS);
        match ended {
            Ended::Passed if only_empty(&output) => Fate::Void("no test was run".to_owned()),
            Ended::Passed => Fate::Survived,
            Ended::TimedOut => Fate::Hung,
            Ended::Failed
                if output.contains("test result: FAILED") || output.contains("(signal: ") =>
            {
                Fate::Killed
            }
            Ended::Failed => {
                let error = output.lines().find(|line| line.starts_with("error"));
                Fate::Void(error.unwrap_or("the tests were not run").to_owned())
            }
        }
    }
}

/// Whether nothing that was run had a test in it.
fn only_empty(output: &str) -> bool {
    let results = output
        .lines()
        .filter(|line| line.starts_with("test result:"));
    results.clone().count() > 0 && results.clone().all(|line| line.contains(" 0 passed"))
}

/// Writes a file, so that it is newer than what was made of it.
fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Tries all that are wanted, and tells of each. Returns how many died, of how many.
pub(crate) fn try_all(tree: &Tree, mutants: &[Mutant]) -> (usize, Vec<String>) {
    let (mut killed, mut others) = (0, Vec::new());
    for mutant in mutants {
        let began = Instant::now();
        let fate = mutant.try_on(tree);
        let seconds = began.elapsed().as_secs();
        let Mutant {
            pitfall, mistake, ..
        } = mutant;
        match &fate {
            Fate::Killed | Fate::Hung => killed += 1,
            Fate::Survived => others.push(format!("survived: {pitfall:02} {mistake}")),
            Fate::Void(why) => others.push(format!("void: {pitfall:02} {mistake}: {why}")),
        }
        eprintln!("{pitfall:02} {mistake}: {fate:?}, {seconds} s");
    }
    (killed, others)
}
