use std::time::Duration;

use super::*;
use crate::load::{Client, Sizes, Step, Stop};
use crate::report::{Context, sample};

fn text(outcome: &Outcome, plan: &Plan, context: &Context) -> String {
    let text = Report::new(outcome, plan, context).text(false);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        assert_eq!(line, line.trim_end());
    }
    // As it would be seen, below a line of its own.
    format!("\n{text}")
}

#[test]
fn an_open_loop_without_a_flaw() {
    let expected = "
VALID  open loop, constant 50 000/s, 200 TCP connections, 128 B,
       every byte verified
       ! Client and server share 2 processors.

  measured    10.0 s, tcp://127.0.0.1:7000
  labels      branch=main
                 offered      sent   replied   failed
  messages       500 000   500 000   500 000        0
  rate          50 000/s  50 000/s  49 998/s
  bytes       6.10 MiB/s out, 6.10 MiB/s in
  latency           p50      p90      p99    p99.9   p99.99      max
    response      61 µs   104 µs   214 µs  1.31 ms  2.90 ms  3.02 ms
    service       58 µs    97 µs   198 µs  1.02 ms  2.11 ms  2.40 ms
    lag         4.00 µs  7.00 µs    11 µs    96 µs   880 µs   910 µs
    connect      112 µs   180 µs        -        -        -   310 µs
              response: from when a message was due; service: from when it was
              sent; lag: this client's own lateness, of 100 % of the messages.
              - means that fewer than 10 samples lie beyond it.
  client      busy 58 %, cpu 58 %, 11.6 cpu-µs/message,
              2.30 system calls/message, RSS 9.10 MiB
  server      pid 4711, cpu 71 %, 14.2 cpu-µs/message, RSS 9.10 MiB,
              1.21 KiB/connection, context switches 12 345 voluntary and 6 not
  goals       met     p99<5ms: 214 µs
              missed  rate>50k: 49 998/s
";
    assert_eq!(
        text(&sample::outcome(), &sample::plan(), &sample::context()),
        expected
    );
}

#[test]
fn a_closed_loop_with_a_server_that_adds_a_suffix() {
    let (mut outcome, mut plan) = (sample::outcome(), sample::plan());
    (plan.rate, plan.pipeline, plan.sizes) = (None, 4, Sizes::range(64, 1024));
    plan.stop = Stop::Messages(1_000);
    plan.connections = 1;
    outcome.measured = Duration::from_millis(1_500);
    outcome.messages = crate::load::Messages {
        offered: 1_000,
        replied: 40,
        unanswered_at_end: 950,
        mismatched: 10,
        sent_in_window: 1_000,
        completed_in_window: 40,
        ..Default::default()
    };
    outcome.wrong_replies = 10;
    let first = crate::load::Mismatch {
        offset: 64,
        ..sample::mismatch()
    };
    outcome.mismatches = vec![first; 10];
    outcome
        .errors
        .insert((Step::Connect, "ECONNREFUSED".to_owned()), 12);
    outcome
        .errors
        .insert((Step::Read, "ECONNRESET".to_owned()), 3);
    outcome.connections.attempted = 212;
    (
        outcome.connections.failed,
        outcome.connections.closed_by_server,
    ) = (12, 2);
    outcome.intervals.clear();
    outcome.client = Client::default();
    outcome.latency.service.reset();
    outcome.latency.service.record_n(61_000, 40).unwrap();
    let expected = "
MISMATCH  closed loop, 1 TCP connection, pipeline 4, 64..1024 B,
       every byte verified
       10 replies did not match: the server seems to append a suffix to each
       reply, so use --reply 'suffix:| lee'.
       950 of 1 000 messages failed (95 %), more than 0.1 % (--failures-max):
       950 unanswered at end.
       Only 40 messages were replied to, fewer than 100: measure for longer with
       --duration, or send more with --messages.

  measured    1.50 s
                offered     sent  replied   failed
  messages        1 000    1 000       40      960
  rate            667/s    667/s     27/s
  failures    96 %, 10 mismatched, 950 unanswered at end
  bytes       40.7 MiB/s out, 40.7 MiB/s in
                    p50      p90      p99    p99.9   p99.99      max
  latency         61 µs        -        -        -        -    61 µs
  connect        112 µs   180 µs        -        -        -   310 µs
              latency: from when a message was sent, of 4 % of the messages.
              - means that fewer than 10 samples lie beyond it.
              A closed loop sends least when the server is slowest, and so hides
              stalls: --rate shows them.
  connections 200 of 212 established, 12 failed, 2 closed by the server
  errors      connect ECONNREFUSED 12, read ECONNRESET 3
  mismatch    connection 7 (127.0.0.1:40000), byte 64, got 7c 20 6c 65 65
              Nothing more was to come. If the server adds that to every reply,
              use --reply 'suffix:| lee'.
  mismatch    connection 7 (127.0.0.1:40000), byte 64, got 7c 20 6c 65 65
  mismatch    connection 7 (127.0.0.1:40000), byte 64, got 7c 20 6c 65 65
              and 7 more
  client      busy -, 0.00 system calls/message
";
    assert_eq!(text(&outcome, &plan, &Context::default()), expected);
}

#[test]
fn datagrams_that_were_lost_and_sent_too_late() {
    let (mut outcome, mut plan) = (sample::outcome(), sample::plan());
    plan.udp = true;
    plan.connections = 8;
    plan.rate = Some(Profile::ramp(1_000.0, 50_000.0, outcome.measured));
    plan.arrival = Arrival::Poisson;
    outcome.connections.most = 8;
    outcome.udp = Some(sample::datagrams());
    let messages = &mut outcome.messages;
    (messages.replied, messages.lost) = (479_988, 12);
    (messages.shed, messages.never_sent) = (12_000, 8_000);
    (messages.sent_in_window, messages.completed_in_window) = (480_000, 479_988);
    let mut context = sample::context();
    context.rate = Some("1k:50k".to_owned());
    context.server = None;
    context.labels.clear();
    context.goals.clear();
    context.warnings.clear();
    let expected = "
RATE-NOT-REACHED  open loop, Poisson rate 1k:50k, 8 UDP flows, 128 B,
       every byte verified
       480 000 of 500 000 messages offered were sent (96 %), less than 99 %:
       8 000 were still due at the end, and 12 000 were shed. Lower --rate, or
       allow more in flight with --connections or --pipeline.

  measured    10.0 s, tcp://127.0.0.1:7000
                 offered      sent   replied   failed     lost     shed
  messages       500 000   480 000   479 988        0       12   12 000
  rate          50 000/s  48 000/s  47 999/s
                never sent
  messages           8 000
  bytes       6.10 MiB/s out, 6.10 MiB/s in
  latency           p50      p90      p99    p99.9   p99.99      max
    response      61 µs   104 µs   214 µs  1.31 ms  2.90 ms  3.02 ms
    service       58 µs    97 µs   198 µs  1.02 ms  2.11 ms  2.40 ms
    lag         4.00 µs  7.00 µs    11 µs    96 µs   880 µs   910 µs
              response: from when a message was due; service: from when it was
              sent; lag: this client's own lateness, of 96 % of the messages.
  datagrams   loss 12 (0.0024 %), late 1, duplicate 2,
              reordered 4 (max extent 2), corrupt 0, foreign 0,
              own buffer overflow 0, jitter 8.00 µs
  client      busy 58 %, cpu 58 %, 12.1 cpu-µs/message,
              2.40 system calls/message, RSS 9.10 MiB
";
    assert_eq!(text(&outcome, &plan, &context), expected);
}

#[test]
fn a_load_that_came_to_nothing() {
    let mut plan = sample::plan();
    plan.connections = 1;
    let mut outcome = Outcome::new(false, &plan.targets);
    outcome.connections.most = 1;
    let expected = "
TOO-FEW-SAMPLES  open loop, constant 50 000/s, 1 TCP connection, 128 B,
       every byte verified
       No message was offered in the window: measure for longer with --duration,
       or see how long the server takes for a reply.

  measured    nothing
                offered     sent  replied   failed
  messages            0        0        0        0
  rate                -        -        -
  latency           p50      p90      p99    p99.9   p99.99      max
    response          -        -        -        -        -        -
    service           -        -        -        -        -        -
    lag               -        -        -        -        -        -
    connect           -        -        -        -        -        -
              response: from when a message was due; service: from when it was
              sent; lag: this client's own lateness.
              - means that fewer than 10 samples lie beyond it.
  client      busy -
";
    assert_eq!(text(&outcome, &plan, &Context::default()), expected);
}

/// The rate line of a run of this many messages that took as many times 100 µs.
fn rates(count: u64, rate: Option<f64>) -> String {
    let (mut outcome, mut plan) = (sample::outcome(), sample::plan());
    plan.rate = rate.map(Profile::constant);
    plan.stop = Stop::Messages(count);
    outcome.measured = Duration::from_micros(100 * count);
    outcome.messages = crate::load::Messages {
        offered: count,
        replied: count,
        sent_in_window: count,
        completed_in_window: count,
        ..Default::default()
    };
    let text = text(&outcome, &plan, &Context::default());
    let line = text
        .lines()
        .find(|line| line.starts_with("  rate"))
        .unwrap();
    line.split_whitespace()
        .skip(1)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn rate_of_a_closed_loop_is_over_the_time_until_the_last_reply() {
    assert_eq!(rates(1, None), "10 000/s 10 000/s 10 000/s");
    assert_eq!(rates(10, None), "10 000/s 10 000/s 10 000/s");
}

/// The last of N messages is due after N - 1 intervals.
#[test]
fn rate_of_a_number_of_messages_is_over_the_time_of_their_schedule() {
    assert_eq!(rates(1, Some(1_000.0)), "1 000/s 1 000/s 1 000/s");
    assert_eq!(rates(20, Some(1_000.0)), "1 000/s 1 000/s 1 000/s");
    assert_eq!(rates(20, Some(20_000.0)), "10 000/s 10 000/s 10 000/s");
}

#[test]
fn large_load_on_long_addresses_fits_into_80_columns() {
    let (mut outcome, mut plan, mut context) =
        (sample::outcome(), sample::plan(), sample::context());
    let address = "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:1111]:25555";
    let large = 987_654_321_000_000;
    plan.connections = 1_000_000;
    outcome.messages = crate::load::Messages {
        offered: 7 * large,
        replied: large,
        replied_late: large,
        lost: large,
        local_overflow: large,
        shed: large,
        never_sent: large,
        timed_out: large,
        ..Default::default()
    };
    (outcome.bytes_sent, outcome.bytes_received) = (u64::MAX, u64::MAX);
    outcome.servers[0].address = address.parse().unwrap();
    outcome.servers[0].messages = outcome.messages.clone();
    outcome.servers = vec![outcome.servers[0].clone(); 3];
    outcome.wrong_replies = large;
    outcome.mismatches = vec![
        crate::load::Mismatch {
            local: Some(address.parse().unwrap()),
            expected: vec![0; 16],
            got: vec![255; 16],
            ..sample::mismatch()
        };
        4
    ];
    context.targets = vec![format!("tcp://{address}"); 3];
    context
        .targets
        .push(format!("tcp://{}:1", "name.".repeat(50)));
    context.warnings.push("word ".repeat(60));
    context.labels.push(("label".to_owned(), "x".repeat(200)));
    text(&outcome, &plan, &context);
    let spectrum = Report::new(&outcome, &plan, &context).text(true);
    for line in spectrum.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn the_headline_names_what_differs_from_load_to_load() {
    let headline = |change: fn(&mut Plan, &mut Context)| {
        let (mut plan, mut context) = (sample::plan(), Context::default());
        change(&mut plan, &mut context);
        let mut outcome = sample::outcome();
        outcome.messages.written = 1;
        let text = text(&outcome, &plan, &context);
        let headline = text.split("\n\n").next().unwrap().split_whitespace();
        headline.skip(1).collect::<Vec<_>>().join(" ")
    };
    for (change, expected) in [
        (
            (|_, _| {}) as fn(&mut Plan, &mut Context),
            "open loop, constant 50 000/s, 200 TCP connections, 128 B, every byte verified",
        ),
        (
            |plan, _| {
                plan.rate = Some(Profile::ramp(1.0, 50_000.0, Duration::from_secs(10)));
                plan.churn = Some(Churn::Messages(1));
                plan.message = Some(b"hello".to_vec());
            },
            "open loop, rate up to 50 000/s, 200 TCP connections, a connection for each message, 5 B, every byte \
             verified",
        ),
        (
            |plan, _| {
                plan.arrival = Arrival::Poisson;
                plan.churn = Some(Churn::After(Duration::from_millis(1_500)));
                plan.verify = Verify::Length;
            },
            "open loop, Poisson 50 000/s, 200 TCP connections, a connection for 1.50 s, 128 B, lengths verified",
        ),
        (
            |plan, context| {
                plan.rate = None;
                (plan.udp, plan.connections) = (true, 1);
                plan.sizes = Sizes::weighted(&[(64, 70), (1024, 25)]);
                context.size = Some("64@70,1k@25".to_owned());
                plan.reply = Reply::Until(b"\n".to_vec());
            },
            "closed loop, 1 UDP flow, 64@70,1k@25 B, ends of replies found",
        ),
        (
            |plan, _| {
                plan.churn = Some(Churn::Messages(5_000));
                plan.reply = Reply::None;
            },
            "open loop, constant 50 000/s, 200 TCP connections, a connection for 5 000 messages, 128 B, no reply \
             expected",
        ),
    ] {
        assert_eq!(headline(change), expected);
    }
}

#[test]
fn what_others_wrote_can_not_act_on_a_terminal() {
    let (mut outcome, mut context) = (sample::outcome(), sample::context());
    let hostile = "a\x1b[2J\nb\u{202e}".to_owned();
    outcome.errors.insert((Step::Read, hostile.clone()), 1);
    context.targets = vec![hostile.clone()];
    context.labels = vec![(hostile.clone(), hostile.clone())];
    context.warnings = vec![hostile.clone()];
    context.goals[0].goal = hostile;
    let text = text(&outcome, &sample::plan(), &context);
    assert!(!text.contains(['\x1b', '\u{202e}']), "{text}");
    assert_eq!(text.matches("a\\x1b[2J\\nb\\u{202e}").count(), 6, "{text}");
}

#[test]
fn percentiles_of_ones_own_and_the_whole_distribution_are_told_when_asked_for() {
    let (outcome, mut plan, context) = (sample::outcome(), sample::plan(), sample::context());
    let text = |plan: &Plan| {
        let report = Report::new(&outcome, plan, &context);
        report.with_percentiles(vec![5.0, 99.5]).text(true)
    };
    let open = text(&plan);
    assert!(
        open.contains("latency            p5    p99.5      max\n"),
        "{open}"
    );
    let times = hgrm(&outcome.latency.response);
    let end = format!("\n\n  Times from when messages were due, in microseconds:\n{times}");
    assert!(open.ends_with(&end), "{open}");
    plan.rate = None;
    let times = hgrm(&outcome.latency.service);
    assert!(text(&plan).ends_with(&format!("were sent, in microseconds:\n{times}")));
}
