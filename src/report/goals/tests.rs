use super::*;
use crate::report::sample;

fn goal(text: &str) -> Goal {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_form_of_a_goal_is_read() {
    let response = |statistic| Figure::Time(Span::Response, statistic);
    for (text, figure, order, limit) in [
        (
            "p99<5ms",
            response(Statistic::Percentile(99.0)),
            Order::Below,
            5e6,
        ),
        (
            "p99.9<=2ms",
            response(Statistic::Percentile(99.9)),
            Order::AtMost,
            2e6,
        ),
        (
            "response.p50 < 70 ns",
            response(Statistic::Percentile(50.0)),
            Order::Below,
            70.0,
        ),
        ("max<1s", response(Statistic::Max), Order::Below, 1e9),
        ("mean<300us", response(Statistic::Mean), Order::Below, 300e3),
        ("mean<300µs", response(Statistic::Mean), Order::Below, 300e3),
        ("rate>50k", Figure::Rate, Order::Above, 50e3),
        ("rate>=1.5M", Figure::Rate, Order::AtLeast, 1.5e6),
        ("rate>20", Figure::Rate, Order::Above, 20.0),
        ("failures<0.1%", Figure::Failures, Order::Below, 0.001),
        ("errors<0.1%", Figure::Failures, Order::Below, 0.001),
        ("loss<1%", Figure::Loss, Order::Below, 0.01),
        (
            "service.p99<1ms",
            Figure::Time(Span::Service, Statistic::Percentile(99.0)),
            Order::Below,
            1e6,
        ),
        (
            "lag.max<1ms",
            Figure::Time(Span::Lag, Statistic::Max),
            Order::Below,
            1e6,
        ),
        (
            "connect.mean<1ms",
            Figure::Time(Span::Connect, Statistic::Mean),
            Order::Below,
            1e6,
        ),
    ] {
        let Goal {
            figure: read,
            order: ordered,
            limit: limited,
            ..
        } = goal(text);
        assert_eq!((read, ordered), (figure, order), "{text}");
        assert!((limited / limit - 1.0).abs() < 1e-9, "{text}: {limited}");
        assert_eq!(goal(text).to_string(), text);
    }
}

#[test]
fn what_is_no_goal_is_named_on_one_line_with_how_to_write_it() {
    for (text, said) in [
        ("p99", "such as p99<5ms"),
        ("", "such as p99<5ms"),
        ("p99=5ms", "such as p99<5ms"),
        (
            "p99<5",
            "'5' is no limit: a time is written with its unit, ns, us, ms or s, such as 300us",
        ),
        ("p99<-5ms", "'-5ms' is no limit"),
        ("p99<1e3ms", "'1e3ms' is no limit"),
        ("p99<ms", "'ms' is no limit"),
        ("rate>50kk", "such as 50k"),
        ("rate>5ms", "such as 50k"),
        ("errors<0.1", "a part is written in per cent, such as 0.1%"),
        ("p100<1ms", "there is no figure 'p100'"),
        ("p<1ms", "there is no figure 'p'"),
        ("service.rate>1", "there is no figure 'service.rate'"),
        ("latency<1ms", "there are p50, p99.9 and so on"),
    ] {
        let error = text.parse::<Goal>().unwrap_err();
        assert!(error.starts_with(&format!("'{text}': ")), "{error}");
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
}

fn finding(text: &str, outcome: &Outcome, plan: &Plan) -> (bool, String) {
    let Finding { goal, met, figure } = goal(text).judge(outcome, plan);
    assert_eq!(goal, text);
    (met, figure)
}

#[test]
fn goals_are_met_or_missed_by_the_figure_they_name() {
    let (mut outcome, plan) = (sample::outcome(), sample::plan());
    for (text, met, figure) in [
        ("p99<5ms", true, "214 µs"),
        ("p99<200us", false, "214 µs"),
        ("service.p99<200us", true, "198 µs"),
        ("max<=3ms", false, "3.02 ms"),
        ("lag.p50<5us", true, "4.00 µs"),
        ("rate>50k", false, "49 998/s"),
        ("rate>=49998", true, "49 998/s"),
        ("failures<0.1%", true, "0 %"),
        ("errors<=0%", true, "0 %"),
        ("failures<0%", false, "0 %"),
    ] {
        assert_eq!(
            finding(text, &outcome, &plan),
            (met, figure.to_owned()),
            "{text}"
        );
    }
    outcome.messages.completed_in_window = 0;
    assert!(!finding("rate>49k", &outcome, &plan).0);
    let messages = &mut outcome.messages;
    (messages.mismatched, messages.connection_lost) = (150, 100);
    (messages.timed_out, messages.unanswered_at_end) = (200, 50);
    let failures = |outcome: &Outcome| finding("failures<0.1%", outcome, &plan);
    assert_eq!(failures(&outcome), (false, "0.1 %".to_owned()));
    outcome.messages.replied_late = 100;
    outcome
        .errors
        .insert((crate::load::Step::Read, "ECONNRESET".to_owned()), 100);
    assert_eq!(
        failures(&outcome),
        (false, "0.1 %".to_owned()),
        "late replies and errors of connections are no failed messages"
    );
}

#[test]
fn a_loss_is_a_part_of_the_datagrams_that_were_sent() {
    let (mut outcome, mut plan) = (sample::outcome(), sample::plan());
    plan.udp = true;
    let messages = &mut outcome.messages;
    (messages.replied, messages.lost, messages.never_sent) = (399_988, 12, 100_000);
    assert_eq!(
        finding("loss<0.01%", &outcome, &plan),
        (true, "0.003 %".to_owned())
    );
    plan.reply = Reply::None;
    assert!(!finding("loss<100%", &outcome, &plan).0);
}

/// The sample with as many messages that were not replied to, in a state of this kind.
fn with_missing(count: u64, state: fn(&mut crate::load::Messages) -> &mut u64) -> Outcome {
    let mut outcome = sample::outcome();
    *state(&mut outcome.messages) = count;
    outcome.messages.offered += count;
    outcome
}

#[test]
fn messages_without_a_reply_are_slower_than_any_limit() {
    let plan = sample::plan();
    let states: [fn(&mut crate::load::Messages) -> &mut u64; 8] = [
        |messages| &mut messages.mismatched,
        |messages| &mut messages.connection_lost,
        |messages| &mut messages.timed_out,
        |messages| &mut messages.lost,
        |messages| &mut messages.local_overflow,
        |messages| &mut messages.unanswered_at_end,
        |messages| &mut messages.shed,
        |messages| &mut messages.never_sent,
    ];
    for state in states {
        let few = with_missing(4_000, state);
        assert_eq!(
            finding("p99<5ms", &few, &plan),
            (true, "1.31 ms".to_owned())
        );
        let many = with_missing(5_100, state);
        let said = "it has no value: too many messages got no reply".to_owned();
        assert_eq!(finding("p99<5ms", &many, &plan), (false, said.clone()));
        assert!(finding("p98<5ms", &many, &plan).0);
        let one = with_missing(1, state);
        assert_eq!(finding("max<1s", &one, &plan), (false, said.clone()));
        assert_eq!(finding("mean<1s", &one, &plan), (false, said));
    }
    let shed = with_missing(5_100, |messages| &mut messages.shed);
    assert!(!finding("lag.p99<1s", &shed, &plan).0);
    let mut refused = sample::outcome();
    refused.connections.failed = 100;
    assert!(!finding("connect.p90<1s", &refused, &plan).0);
}

#[test]
fn messages_without_an_expected_reply_have_no_response_time() {
    let (mut outcome, mut plan) = (sample::outcome(), sample::plan());
    plan.reply = Reply::None;
    (outcome.messages.replied, outcome.messages.written) = (0, 500_000);
    outcome.latency.response.reset();
    let said = "no value: there are no samples".to_owned();
    assert_eq!(finding("p99<1s", &outcome, &plan), (false, said));
    assert!(finding("rate>49k", &outcome, &plan).0);
}

#[test]
fn what_can_not_be_told_is_missed_and_says_why() {
    let (mut outcome, mut plan) = (sample::outcome(), sample::plan());
    let told = |text: &str, outcome: &Outcome, plan: &Plan| {
        let (met, figure) = finding(text, outcome, plan);
        assert!(!met, "{text}");
        figure
    };
    let few = told("p99.999<9s", &outcome, &plan);
    assert_eq!(few, "no value: fewer than 10 samples lie beyond it");
    let loss = told("loss<100%", &outcome, &plan);
    assert_eq!(loss, "no value: only datagrams can be lost; see failures");
    plan.rate = None;
    let lag = told("lag.p50<1s", &outcome, &plan);
    assert_eq!(
        lag,
        "no value: a closed loop has no schedule to be late for"
    );
    // What a closed loop measures is from when a message was sent, which is when it was due.
    assert_eq!(
        finding("p99<200us", &outcome, &plan),
        (true, "198 µs".to_owned())
    );
    outcome.latency.connect.reset();
    let connect = told("connect.max<1s", &outcome, &plan);
    assert_eq!(connect, "no value: there are no samples");
    outcome.measured = std::time::Duration::ZERO;
    outcome.messages = Default::default();
    assert_eq!(
        told("rate>0", &outcome, &plan),
        "no value: nothing was measured"
    );
    assert_eq!(
        told("failures<1%", &outcome, &plan),
        "no value: nothing was offered"
    );
}
