//! Log lines to stderr.

use std::io::Write;

use env_logger::Builder;
use log::LevelFilter;

use crate::args::{LogFormat, Logging};

/// Starts logging as `logging` says; `RUST_LOG` overrides the level.
pub(crate) fn init(logging: &Logging) {
    let mut builder = Builder::new();
    builder
        .filter_level(level(logging))
        .parse_default_env()
        .format_target(false);
    if logging.log_format == LogFormat::Json {
        builder.format(|out, record| {
            let line = serde_json::json!({
                "time": out.timestamp_millis().to_string(),
                "level": record.level().as_str(),
                "target": record.target(),
                "message": record.args().to_string(),
            });
            writeln!(out, "{line}")
        });
    }
    builder.init();
}

fn level(logging: &Logging) -> LevelFilter {
    match (logging.quiet, logging.verbose) {
        (0, 0) => LevelFilter::Info,
        (1, _) => LevelFilter::Warn,
        (2.., _) => LevelFilter::Error,
        (0, 1) => LevelFilter::Debug,
        (0, 2..) => LevelFilter::Trace,
    }
}
