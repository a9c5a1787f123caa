//! Goals that a load has to meet, such as `p99<5ms`.

use std::fmt;
use std::str::FromStr;

use hdrhistogram::Histogram;

use super::percentiles::{can_be_told, parse_percentile, rank, value_at_rank};
use super::rated_seconds;
use super::units::{percent, rate, time};
use crate::load::{Latency, Outcome, Plan, Reply};

/// How a goal is written, for whoever wrote another.
const FORM: &str = "a goal is a figure, <, <=, > or >=, and a limit, such as p99<5ms, service.max<=1s, rate>50k, \
                    failures<0.1% or loss<1%";

/// A goal: a figure, and the limit that it has to be below or above.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// As it was written.
    text: String,
    figure: Figure,
    order: Order,
    /// In nanoseconds, messages a second, or as a part of 1.
    limit: f64,
}

/// Whether a goal was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The goal, as it was written.
    pub goal: String,
    /// It was met. What can't be told has not been met.
    pub met: bool,
    /// What the figure is, or why it can't be told.
    pub figure: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    Time(Span, Statistic),
    /// Messages replied to per second, or written if no reply is expected.
    Rate,
    /// Messages that failed, as a part of those offered.
    Failures,
    /// Datagrams lost, as a part of those sent.
    Loss,
}

/// Which of the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    Response,
    Service,
    Lag,
    Connect,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Statistic {
    Percentile(f64),
    Mean,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = |problem: String| format!("'{text}': {problem}");
        let (name, order, limit) = split(text).ok_or_else(|| refused(FORM.to_owned()))?;
        let figure = Figure::parse(name).map_err(refused)?;
        Ok(Self {
            text: text.trim().to_owned(),
            figure,
            order,
            limit: figure.parse_limit(limit).map_err(refused)?,
        })
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Goal {
    /// Whether what `plan` has come to meets it.
    pub fn judge(&self, outcome: &Outcome, plan: &Plan) -> Finding {
        let (met, figure) = match self.figure.measure(outcome, plan) {
            Ok(value) => (self.order.holds(value, self.limit), self.figure.show(value)),
            Err(why) => (false, format!("no value: {why}")),
        };
        Finding {
            goal: self.text.clone(),
            met,
            figure,
        }
    }
}

impl Order {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
        }
    }
}

impl Figure {
    fn parse(name: &str) -> Result<Self, String> {
        let (span, statistic) = match name.split_once('.') {
            Some(("service", rest)) => (Span::Service, rest),
            Some(("response", rest)) => (Span::Response, rest),
            Some(("lag", rest)) => (Span::Lag, rest),
            Some(("connect", rest)) => (Span::Connect, rest),
            _ => (Span::Response, name),
        };
        let statistic = match statistic {
            "rate" if statistic == name => return Ok(Self::Rate),
            // The second is the name of version 1.
            "failures" | "errors" if statistic == name => return Ok(Self::Failures),
            "loss" if statistic == name => return Ok(Self::Loss),
            "max" => Statistic::Max,
            "mean" => Statistic::Mean,
            other => match other.strip_prefix('p').and_then(parse_percentile) {
                Some(percentile) => Statistic::Percentile(percentile),
                None => {
                    return Err(format!(
                        "there is no figure '{name}': there are p50, p99.9 and so on, mean, max, rate, failures \
                         and loss; a time may begin with service., lag. or connect."
                    ));
                }
            },
        };
        Ok(Self::Time(span, statistic))
    }

    fn parse_limit(self, text: &str) -> Result<f64, String> {
        let (units, form): (&[(&str, f64)], _) = match self {
            Self::Time(..) => (
                &[
                    ("ns", 1.0),
                    ("us", 1e3),
                    ("µs", 1e3),
                    ("ms", 1e6),
                    ("s", 1e9),
                ],
                "a time is written with its unit, ns, us, ms or s, such as 300us",
            ),
            Self::Rate => (
                &[("k", 1e3), ("M", 1e6), ("", 1.0)],
                "a rate is messages a second, k for 1000 and M for a million, such as 50k",
            ),
            Self::Failures | Self::Loss => (
                &[("%", 0.01)],
                "a part is written in per cent, such as 0.1%",
            ),
        };
        units
            .iter()
            .find_map(|(unit, size)| Some(number(text.strip_suffix(unit)?.trim_end())? * size))
            .ok_or_else(|| format!("'{text}' is no limit: {form}"))
    }

    /// What it is, or why that can't be told.
    fn measure(self, outcome: &Outcome, plan: &Plan) -> Result<f64, &'static str> {
        let messages = &outcome.messages;
        match self {
            Self::Time(span, statistic) => {
                let times = span.times(&outcome.latency, plan)?;
                statistic.of(times, span.missing(outcome))
            }
            Self::Rate => match rated_seconds(outcome, plan) {
                Some(seconds) => Ok(messages.completed_in_window as f64 / seconds),
                None => Err("nothing was measured"),
            },
            Self::Failures if messages.offered == 0 => Err("nothing was offered"),
            Self::Failures => Ok(messages.share(messages.failed())),
            Self::Loss if !plan.udp => Err("only datagrams can be lost; see failures"),
            Self::Loss if plan.reply == Reply::None => Err("no reply is expected"),
            Self::Loss if messages.sent() == 0 => Err("nothing was sent"),
            Self::Loss => Ok(messages.lost as f64 / messages.sent() as f64),
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Time(..) if value.is_infinite() => {
                "it has no value: too many messages got no reply".to_owned()
            }
            Self::Time(..) => time(value.round() as u64),
            Self::Rate => rate(value),
            Self::Failures | Self::Loss => percent(value),
        }
    }
}

impl Span {
    fn times<'a>(
        self,
        latency: &'a Latency,
        plan: &Plan,
    ) -> Result<&'a Histogram<u64>, &'static str> {
        match self {
            Self::Response if plan.is_open() => Ok(&latency.response),
            // In a closed loop a message is due when it is sent.
            Self::Response | Self::Service => Ok(&latency.service),
            Self::Lag if plan.is_open() => Ok(&latency.lag),
            Self::Lag => Err("a closed loop has no schedule to be late for"),
            Self::Connect => Ok(&latency.connect),
        }
    }

    /// How many have no time because they failed, were lost, or not sent: they count as slower than any limit.
    const fn missing(self, outcome: &Outcome) -> u64 {
        let messages = &outcome.messages;
        match self {
            Self::Response | Self::Service => {
                messages.offered - messages.timed() - messages.written
            }
            Self::Lag => messages.shed + messages.never_sent,
            Self::Connect => outcome.connections.failed + outcome.connections.failed_locally,
        }
    }
}

impl Statistic {
    /// Of `times` and as many that took forever as are `missing`.
    fn of(self, times: &Histogram<u64>, missing: u64) -> Result<f64, &'static str> {
        let all = times.len() + missing;
        match self {
            _ if all == 0 => Err("there are no samples"),
            Self::Mean | Self::Max if missing > 0 => Ok(f64::INFINITY),
            Self::Mean => Ok(times.mean()),
            Self::Max => Ok(times.max() as f64),
            Self::Percentile(wanted) if !can_be_told(all, wanted) && wanted > 0.0 => {
                Err("fewer than 10 samples lie beyond it")
            }
            Self::Percentile(wanted) => {
                let rank = rank(all, wanted);
                if rank > times.len() {
                    return Ok(f64::INFINITY);
                }
                Ok(value_at_rank(times, rank) as f64)
            }
        }
    }
}

/// The figure, the order and the limit of a goal.
fn split(text: &str) -> Option<(&str, Order, &str)> {
    let at = text.find(['<', '>'])?;
    let (name, rest) = text.split_at(at);
    let orders = [
        ("<=", Order::AtMost),
        (">=", Order::AtLeast),
        ("<", Order::Below),
        (">", Order::Above),
    ];
    let found = orders
        .iter()
        .find_map(|&(sign, order)| Some((order, rest.strip_prefix(sign)?)));
    let (order, limit) = found?;
    Some((name.trim(), order, limit.trim()))
}

/// A number that is written as one: no sign, no exponent.
fn number(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests;
