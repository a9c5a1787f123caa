//! The outputs of a run.

use std::path::Path;

use echoloop::load::Outcome;
use echoloop::report::{Report, hgrm};

use crate::Failure;
use crate::args::BenchArgs;
use crate::args::load_values::Message;
use crate::output::{Destination, Opened, TextStream, check_distinct};

/// The checked output options of a run.
pub(super) struct Outputs {
    json: Option<Destination>,
    hgrm: Option<Destination>,
    hlog: Option<Destination>,
    csv: Option<Destination>,
    trace: Option<Destination>,
    /// Where the text report goes.
    pub(super) text: TextStream,
}

/// The outputs, ready to be written to.
pub(super) struct Files {
    pub(super) json: Option<Opened>,
    pub(super) hgrm: Option<Opened>,
    pub(super) streams: Streams,
}

/// Outputs that are written while the load runs.
pub(super) struct Streams {
    pub(super) hlog: Option<Opened>,
    pub(super) csv: Option<Opened>,
    pub(super) trace: Option<Opened>,
    /// Where the view of `--watch` goes.
    pub(super) view: TextStream,
}

impl Outputs {
    /// Checks every output option. Opens and creates nothing.
    pub(super) fn check(args: &BenchArgs) -> Result<Self, Failure> {
        let check = Destination::check_option;
        let (json, hgrm) = (
            check("--json", args.json.as_ref())?,
            check("--hgrm", args.hgrm.as_ref())?,
        );
        let (hlog, csv) = (
            check("--hlog", args.hlog.as_ref())?,
            check("--csv", args.csv.as_ref())?,
        );
        let trace = check("--trace", args.study.trace.as_ref())?;
        let all = [&json, &hgrm, &hlog, &csv, &trace];
        let all: Vec<&Destination> = all.into_iter().flatten().collect();
        let input: Option<(String, &Path)> = match &args.load.message {
            Some(Message::File(path)) => Some((format!("--message @{}", path.display()), path)),
            _ => None,
        };
        check_distinct(&all, input.as_slice())?;
        let text = TextStream::beside(all);
        text.check_watch(args.study.watch)?;
        Ok(Self {
            json,
            hgrm,
            hlog,
            csv,
            trace,
            text,
        })
    }

    /// Opens FIFOs and devices. Regular files are not touched yet.
    pub(super) fn open(&self) -> Result<Files, Failure> {
        let open =
            |output: &Option<Destination>| output.as_ref().map(Destination::open).transpose();
        Ok(Files {
            json: open(&self.json)?,
            hgrm: open(&self.hgrm)?,
            streams: Streams {
                hlog: open(&self.hlog)?,
                csv: open(&self.csv)?,
                trace: open(&self.trace)?,
                view: self.text,
            },
        })
    }
}

/// Writes the results of the whole run. A failure of one does not keep the other from being written.
pub(super) fn write(
    (json, hgrm_file): (Option<Opened>, Option<Opened>),
    report: &Report<'_>,
    outcome: &Outcome,
) -> [Result<(), Failure>; 2] {
    let latency = &outcome.latency;
    let times = if latency.response.is_empty() {
        &latency.service
    } else {
        &latency.response
    };
    [
        json.map_or(Ok(()), |file| file.write(&(report.json() + "\n"))),
        hgrm_file.map_or(Ok(()), |file| file.write(&hgrm(times))),
    ]
}
