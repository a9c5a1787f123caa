//! The report for a person.

use super::distribution::hgrm;
use super::page::{INDENT, Page, Row, Table, escaped};
use super::units::{bytes, percent, rate, thousands, three_digits, time, whole_percent};
use super::{
    Report, busy_share, datagrams, is_steady, latency, mismatches, rated_seconds, servers,
    system_calls,
};
use crate::load::{Arrival, Churn, Outcome, Plan, Profile, Reply, State, Verify};

/// How far what is said about the verdict stands in.
const REASON_INDENT: usize = 7;

/// Writes the report, with every step of the distribution of times if `spectrum`.
pub(super) fn write(report: &Report<'_>, spectrum: bool) -> String {
    let Report {
        outcome,
        plan,
        context,
        judgement,
        percentiles,
    } = report;
    let mut page = Page::new();
    let verdict = format!("{}  ", judgement.verdict);
    page.headline(&verdict, REASON_INDENT, &subject(report));
    for reason in &judgement.reasons {
        page.words(&" ".repeat(REASON_INDENT), REASON_INDENT, reason);
    }
    for warning in &context.warnings {
        let first = format!("{}! ", " ".repeat(REASON_INDENT));
        page.words(&first, REASON_INDENT + 2, &escaped(warning));
    }
    page.gap();
    write_where(report, &mut page);
    messages(outcome, plan).write(&mut page);
    write_failures(outcome, &mut page);
    servers::write(outcome, plan, &mut page);
    write_bytes(outcome, plan, &mut page);
    latency::write(outcome, plan, percentiles, &mut page);
    write_troubles(outcome, plan, &mut page);
    datagrams::write(outcome, plan, &mut page);
    mismatches::write(outcome, plan, &mut page);
    write_costs(report, &mut page);
    write_goals(report, &mut page);
    if spectrum {
        page.gap();
        let (times, since) = if plan.is_open() {
            (&outcome.latency.response, "due")
        } else {
            (&outcome.latency.service, "sent")
        };
        page.line(&format!(
            "  Times from when messages were {since}, in microseconds:"
        ));
        hgrm(times).lines().for_each(|line| page.line(line));
    }
    page.into_text()
}

/// What was measured.
fn subject(report: &Report<'_>) -> Vec<String> {
    let Report {
        outcome,
        plan,
        context,
        ..
    } = report;
    let mut items = Vec::new();
    if let Some(profile) = &plan.rate {
        items.push("open loop".to_owned());
        items.push(offered(profile, plan, outcome, context.rate.as_deref()));
    } else {
        items.push("closed loop".to_owned());
    }
    let members = match (plan.udp, plan.connections) {
        (false, 1) => "TCP connection",
        (false, _) => "TCP connections",
        (true, 1) => "UDP flow",
        (true, _) => "UDP flows",
    };
    items.push(format!("{} {members}", thousands(plan.connections as u64)));
    if plan.idle > 0 {
        items.push(format!("{} idle", thousands(plan.idle as u64)));
    }
    if plan.pipeline > 1 {
        items.push(format!("pipeline {}", thousands(plan.pipeline as u64)));
    }
    match plan.churn {
        Some(Churn::Messages(1)) => items.push("a connection for each message".to_owned()),
        Some(Churn::Messages(count)) => {
            items.push(format!("a connection for {} messages", thousands(count)));
        }
        Some(Churn::After(after)) => {
            items.push(format!(
                "a connection for {}",
                time(after.as_nanos() as u64)
            ));
        }
        None => {}
    }
    items.push(size(plan, context.size.as_deref()));
    items.push(verified(plan).to_owned());
    items
}

/// What was offered in a second.
fn offered(profile: &Profile, plan: &Plan, outcome: &Outcome, typed: Option<&str>) -> String {
    let arrival = match plan.arrival {
        Arrival::Constant => "constant",
        Arrival::Poisson => "Poisson",
    };
    if is_steady(profile, outcome.measured) {
        return format!("{arrival} {}", rate(profile.peak()));
    }
    let shape = if plan.arrival == Arrival::Poisson {
        "Poisson "
    } else {
        ""
    };
    match typed {
        Some(typed) => format!("{shape}rate {}", escaped(typed)),
        None => format!("{shape}rate up to {}", rate(profile.peak())),
    }
}

fn size(plan: &Plan, typed: Option<&str>) -> String {
    let (least, most) = match &plan.message {
        Some(message) => (message.len(), message.len()),
        None => (plan.sizes.smallest(), plan.sizes.largest()),
    };
    match typed {
        _ if least == most => format!("{} B", thousands(least as u64)),
        Some(typed) => format!("{} B", escaped(typed)),
        None => format!("{least}..{most} B"),
    }
}

/// How much of an answer was verified.
const fn verified(plan: &Plan) -> &'static str {
    match (&plan.reply, plan.verify) {
        (Reply::None, _) => "no reply expected",
        (_, Verify::Off) => "nothing verified",
        (Reply::Until(_), _) => "ends of replies found",
        (Reply::Size(_), _) | (_, Verify::Length) => "lengths verified",
        (Reply::Echo | Reply::Suffix(_), Verify::Full) => "every byte verified",
    }
}

/// How long, where and under which name.
fn write_where(report: &Report<'_>, page: &mut Page) {
    let measured = report.outcome.measured;
    let mut items = vec![if measured.is_zero() {
        "nothing".to_owned()
    } else {
        time(measured.as_nanos() as u64)
    }];
    items.extend(report.context.targets.iter().map(|target| escaped(target)));
    page.items("measured", &items);
    let labels = report.context.labels.iter();
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
        .collect();
    if !labels.is_empty() {
        page.items("labels", &labels);
    }
}

/// How messages ended. Of the states that are rare, only those that occurred.
fn messages(outcome: &Outcome, plan: &Plan) -> Table {
    let messages = &outcome.messages;
    let completed = if plan.reply == Reply::None {
        "written"
    } else {
        "replied"
    };
    let always = [
        ("offered", messages.offered),
        ("sent", messages.sent()),
        (completed, messages.completed()),
        ("failed", messages.failed()),
    ];
    let rare = [
        State::RepliedLate,
        State::Lost,
        State::LocalOverflow,
        State::Shed,
        State::NeverSent,
    ];
    let rare = rare.map(|state| (state.name(), messages.count(state)));
    let occurred = rare.into_iter().filter(|(_, count)| *count > 0);
    let columns: Vec<_> = always.into_iter().chain(occurred).collect();
    let seconds = rated_seconds(outcome, plan);
    let per_second =
        |count: u64| seconds.map_or_else(|| "-".to_owned(), |seconds| rate(count as f64 / seconds));
    // Messages that were never sent have no rate.
    let offered = if outcome.gave_up.is_some() {
        "-".to_owned()
    } else {
        per_second(messages.offered)
    };
    let mut rates = vec![
        offered,
        per_second(messages.sent_in_window),
        per_second(messages.completed_in_window),
    ];
    rates.resize(columns.len(), String::new());
    let row = |label, cells| Row { label, cells };
    Table {
        header: row(
            "",
            columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
        ),
        rows: vec![
            row(
                "messages",
                columns.iter().map(|(_, count)| thousands(*count)).collect(),
            ),
            row("rate", rates),
        ],
    }
}

/// How messages failed, if any did.
fn write_failures(outcome: &Outcome, page: &mut Page) {
    let messages = &outcome.messages;
    let failed = messages.failed();
    if failed == 0 {
        return;
    }
    let states = State::ALL.into_iter().filter(|state| state.is_failure());
    let occurred = states.filter(|&state| messages.count(state) > 0);
    let mut items = vec![percent(messages.share(failed))];
    items.extend(
        occurred.map(|state| format!("{} {}", thousands(messages.count(state)), state.name())),
    );
    page.items("failures", &items);
}

fn write_bytes(outcome: &Outcome, plan: &Plan, page: &mut Page) {
    let Some(seconds) = rated_seconds(outcome, plan) else {
        return;
    };
    let told = |count: u64| format!("{}/s", bytes(count as f64 / seconds));
    page.items(
        "bytes",
        &[
            format!("{} out", told(outcome.bytes_sent)),
            format!("{} in", told(outcome.bytes_received)),
        ],
    );
}

/// What happened to connections that was not to.
fn write_troubles(outcome: &Outcome, plan: &Plan, page: &mut Page) {
    let connections = &outcome.connections;
    let mut items = vec![format!(
        "{} of {} established",
        thousands(connections.established),
        thousands(connections.attempted)
    )];
    for (count, what) in [
        (connections.failed, "failed"),
        (connections.failed_locally, "failed on this machine"),
        (
            connections.closed_without_reply,
            "closed by the server before any reply",
        ),
        (connections.closed_by_server, "closed by the server"),
        (connections.idle_closed, "idle ones closed by the server"),
        (connections.churned, "closed by --churn"),
    ] {
        if count > 0 {
            items.push(format!("{} {what}", thousands(count)));
        }
    }
    let failed = connections.established < connections.attempted;
    if !plan.udp && (failed || items.len() > 1) {
        page.items("connections", &items);
    }
    let errors = outcome.errors.iter();
    let errors: Vec<String> = errors
        .map(|((step, name), count)| {
            format!("{} {} {}", step.name(), escaped(name), thousands(*count))
        })
        .collect();
    if !errors.is_empty() {
        page.items("errors", &errors);
    }
}

/// What both ends have cost.
fn write_costs(report: &Report<'_>, page: &mut Page) {
    let Report {
        outcome, context, ..
    } = report;
    let completed = outcome.messages.completed_in_window;
    // The window may have ended earlier, with the last reply.
    let seconds = outcome.client.observed.as_secs_f64();
    let cpu = |time: std::time::Duration, items: &mut Vec<String>| {
        if seconds > 0.0 {
            items.push(format!(
                "cpu {}",
                whole_percent(time.as_secs_f64() / seconds)
            ));
        }
        if completed > 0 {
            let each = time.as_secs_f64() * 1e6 / completed as f64;
            items.push(format!("{} cpu-µs/message", three_digits(each)));
        }
    };
    let busy = busy_share(outcome).map_or_else(|| "-".to_owned(), whole_percent);
    let mut client = vec![format!("busy {busy}")];
    context.cpu.iter().for_each(|&time| cpu(time, &mut client));
    if completed > 0 {
        let calls = system_calls(outcome) as f64 / completed as f64;
        client.push(format!("{} system calls/message", three_digits(calls)));
    }
    client.extend(
        context
            .rss_bytes
            .map(|rss| format!("RSS {}", bytes(rss as f64))),
    );
    page.items("client", &client);
    let Some(figures) = &context.server else {
        return;
    };
    let mut server = vec![format!("pid {}", figures.pid)];
    cpu(figures.cpu, &mut server);
    server.push(format!("RSS {}", bytes(figures.rss_bytes as f64)));
    if let Some(each) = figures.bytes_per_connection {
        server.push(format!("{}/connection", bytes(each)));
    }
    server.push(format!(
        "context switches {} voluntary and {} not",
        thousands(figures.ctx_voluntary),
        thousands(figures.ctx_involuntary)
    ));
    page.items("server", &server);
}

fn write_goals(report: &Report<'_>, page: &mut Page) {
    let mut label = "goals";
    for finding in &report.context.goals {
        let met = if finding.met { "met   " } else { "missed" };
        let goal = escaped(&finding.goal);
        let first = format!("  {label:<width$}{met}  ", width = INDENT - 2);
        page.words(&first, INDENT + 8, &format!("{goal}: {}", finding.figure));
        label = "";
    }
}

#[cfg(test)]
mod tests;
