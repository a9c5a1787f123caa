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
        ("errors<0.1%", Figure::Errors, Order::Below, 0.001),
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
        ("errors<0.1%", true, "0 %"),
        ("errors<=0%", true, "0 %"),
        ("errors<0%", false, "0 %"),
    ] {
        assert_eq!(
            finding(text, &outcome, &plan),
            (met, figure.to_owned()),
            "{text}"
        );
    }
    let mut silent = plan.clone();
    silent.reply = Reply::None;
    outcome.messages.answered_in_time = 0;
    assert!(finding("rate>49k", &outcome, &silent).0);
    assert!(!finding("rate>49k", &outcome, &plan).0);
    (outcome.messages.answered_late, outcome.messages.unanswered) = (100, 200);
    (outcome.messages.mismatch, outcome.messages.answered) = (150, 499_650);
    outcome
        .errors
        .insert((crate::load::Step::Read, "ECONNRESET".to_owned()), 100);
    let errors = |outcome: &Outcome, plan: &Plan| finding("errors<0.1%", outcome, plan);
    assert_eq!(errors(&outcome, &plan), (false, "0.11 %".to_owned()));
    // More wrong answers than messages: the server says what nobody has asked for.
    outcome.messages.mismatch = 400;
    assert_eq!(errors(&outcome, &plan), (false, "0.12 %".to_owned()));
    (outcome.messages.answered_late, outcome.messages.mismatch) = (0, 0);
    outcome.messages.sent = 499_800;
    assert_eq!(errors(&outcome, &silent), (true, "0.06 %".to_owned()));
    outcome.udp = Some(sample::datagrams());
    assert_eq!(
        finding("loss<0.01%", &outcome, &plan),
        (true, "0.0024 %".to_owned())
    );
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
    assert_eq!(few, "can't be told: fewer than 10 samples lie beyond it");
    let loss = told("loss<100%", &outcome, &plan);
    assert_eq!(
        loss,
        "can't be told: only datagrams can be lost; see errors"
    );
    plan.rate = None;
    let lag = told("lag.p50<1s", &outcome, &plan);
    assert_eq!(
        lag,
        "can't be told: a closed loop has no schedule to be late for"
    );
    // What a closed loop measures is from when a message was sent, which is when it was due.
    assert_eq!(
        finding("p99<200us", &outcome, &plan),
        (true, "198 µs".to_owned())
    );
    outcome.latency.connect.reset();
    let connect = told("connect.max<1s", &outcome, &plan);
    assert_eq!(connect, "can't be told: there are no samples");
    outcome.measured = std::time::Duration::ZERO;
    outcome.messages = Default::default();
    assert_eq!(
        told("rate>0", &outcome, &plan),
        "can't be told: nothing was measured"
    );
    assert_eq!(
        told("errors<1%", &outcome, &plan),
        "can't be told: nothing was offered"
    );
}
