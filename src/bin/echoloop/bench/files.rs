//! Files that the whole of a run is written to.

use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::PathBuf;

use echoloop::load::Outcome;
use echoloop::report::{Report, hgrm};

use super::is_stdout;
use super::logs::create;
use crate::Failure;
use crate::args::BenchArgs;

type Open = (PathBuf, LineWriter<File>);

/// The files that were asked for, opened before the run: one that can't be is not found out behind it.
pub(super) struct Files {
    json: Option<Open>,
    hgrm: Option<Open>,
}

impl Files {
    /// Creates them.
    pub(super) fn open(args: &BenchArgs) -> Result<Self, Failure> {
        let open = |path: &Option<PathBuf>| {
            let path = path.as_ref().filter(|path| !is_stdout(Some(path)));
            path.map(|path| Ok((path.clone(), create(path)?)))
                .transpose()
        };
        Ok(Self {
            json: open(&args.json)?,
            hgrm: open(&args.hgrm)?,
        })
    }

    /// Writes all of them, and says which one could not be.
    pub(super) fn write(self, report: &Report<'_>, outcome: &Outcome) -> Result<(), Failure> {
        let latency = &outcome.latency;
        let times = if latency.response.is_empty() {
            &latency.service
        } else {
            &latency.response
        };
        let json = self.json.map(|file| write(file, &(report.json() + "\n")));
        let hgrm = self.hgrm.map(|file| write(file, &hgrm(times)));
        json.unwrap_or(Ok(()))?;
        hgrm.unwrap_or(Ok(()))
    }
}

fn write((path, mut file): Open, text: &str) -> Result<(), Failure> {
    file.write_all(text.as_bytes())
        .and_then(|()| file.flush())
        .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))
}
