//! A loop as it runs, in a few lines that are drawn again and again.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::units::{bytes, percent, rate, thousands, three_digits, time, whole_percent};
use crate::probe::{Figures, Lint, Role, lints};
use crate::service::ClientId;

/// How many columns of breath are kept.
const BREATH_MAX: usize = 200;

/// How many stretches of time the figures are of.
const STRETCHES: usize = 10;

/// The most lints that are told at once.
const LINTS_MAX: usize = 2;

/// The most lines that a lint may take.
const LINT_LINES: usize = 4;

/// The fewest columns that anything is told in.
const WIDTH_MIN: usize = 20;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What is known of a loop over the last stretches of time, and how it is shown.
#[derive(Debug)]
pub struct Watch {
    name: String,
    role: Role,
    /// How busy the loop was in each of the last stretches.
    breath: VecDeque<f64>,
    recent: VecDeque<Figures>,
    began: Option<u64>,
    opened: u64,
}

impl Watch {
    /// Nothing is known yet of the loop of a program that is `name`.
    pub fn new(role: Role, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            role,
            breath: VecDeque::new(),
            recent: VecDeque::new(),
            began: None,
            opened: 0,
        }
    }

    /// Takes the figures of another stretch of time: a tenth of a second, say.
    pub fn take(&mut self, figures: Figures) {
        self.began.get_or_insert(figures.began);
        self.opened += figures.opened;
        if self.breath.len() == BREATH_MAX {
            self.breath.pop_front();
        }
        self.breath.push_back(figures.utilisation());
        if self.recent.len() == STRETCHES {
            self.recent.pop_front();
        }
        self.recent.push_back(figures);
    }

    /// The lines that tell what is known, each at most `width` columns wide. `client` tells whose a connection is, and
    /// `overflows` how many connections found no room in a backlog.
    pub fn lines(
        &self,
        width: usize,
        overflows: Option<u64>,
        client: impl Fn(ClientId) -> Option<SocketAddr>,
    ) -> Vec<String> {
        let width = width.max(WIDTH_MIN);
        let Some(figures) = self.figures() else {
            return Vec::new();
        };
        let name = |who: ClientId| {
            client(who).map_or_else(
                || format!("the connection of slot {}", who.slot()),
                |client| client.to_string(),
            )
        };
        let mut lines = vec![self.head(&figures), self.breath(width)];
        lines.push(loop_line(&figures));
        lines.push(work_line(&figures));
        lines.push(bytes_line(&figures));
        lines.push(queue_line(&figures));
        lines.push(waste_line(&figures));
        lines.push(hot_line(&figures, &name));
        let mut lines: Vec<String> = lines.iter().map(|line| cut(line, width)).collect();
        let found = lints(&figures, self.role, overflows, name);
        lines.extend(lint_lines(&found, width));
        lines
    }

    /// One line of the most important figures, for who reads lines.
    pub fn line(&self) -> String {
        let Some(figures) = self.figures() else {
            return String::new();
        };
        format!(
            "busy {}  {} events/turn  {} system calls/message  wasted {}  ready to served p99 {}  {} messages  {} \
             connections  longest iteration {} (cpu {})",
            whole_percent(figures.utilisation()),
            three_digits(figures.events_per_turn()),
            figures
                .system_calls_per_message()
                .map_or_else(|| "-".to_owned(), three_digits),
            percent(figures.wasted_share()),
            quantile(&figures.waits, 0.99),
            rate(per_second(&figures, figures.messages)),
            thousands(figures.open),
            time(figures.longest_turn.took),
            match figures.longest_turn_cpu {
                0 => "-".to_owned(),
                used => time(used),
            },
        )
    }

    /// Of the last stretches together.
    fn figures(&self) -> Option<Figures> {
        let mut recent = self.recent.iter();
        let mut sum = recent.next()?.clone();
        recent.for_each(|figures| sum.absorb(figures));
        Some(sum)
    }

    fn head(&self, figures: &Figures) -> String {
        let up = figures.ended.saturating_sub(self.began.unwrap_or(0)) / 1_000_000_000;
        format!(
            "{}   up {:02}:{:02}   {} connections of {} so far",
            self.name,
            up / 60,
            up % 60,
            thousands(figures.open),
            thousands(self.opened)
        )
    }

    fn breath(&self, width: usize) -> String {
        let columns = width - 8;
        let skip = self.breath.len().saturating_sub(columns);
        let bars = self.breath.iter().skip(skip).map(|busy| {
            let height = (busy * BARS.len() as f64) as usize;
            BARS[height.min(BARS.len() - 1)]
        });
        format!("breath  {}", bars.collect::<String>())
    }
}

fn per_second(figures: &Figures, count: u64) -> f64 {
    let nanoseconds = figures.ended.saturating_sub(figures.began).max(1);
    count as f64 * 1e9 / nanoseconds as f64
}

fn quantile(times: &hdrhistogram::Histogram<u64>, quantile: f64) -> String {
    if times.is_empty() {
        return "-".to_owned();
    }
    time(times.value_at_quantile(quantile))
}

fn loop_line(figures: &Figures) -> String {
    let batches = &figures.batches;
    format!(
        "loop    busy {}   turns {}   events/turn p50 {} p99 {} max {}",
        whole_percent(figures.utilisation()),
        rate(per_second(figures, figures.turns)),
        batches.value_at_quantile(0.5),
        batches.value_at_quantile(0.99),
        batches.max()
    )
}

fn work_line(figures: &Figures) -> String {
    let messages = figures.messages;
    let each = |count: u64| {
        if messages == 0 {
            "-".to_owned()
        } else {
            three_digits(count as f64 / messages as f64)
        }
    };
    format!(
        "work    messages {}   syscalls/message {} (r {} w {} poll {})",
        rate(per_second(figures, messages)),
        each(figures.system_calls()),
        each(figures.reads),
        each(figures.writes),
        each(figures.turns)
    )
}

fn bytes_line(figures: &Figures) -> String {
    let of = |count| bytes(per_second(figures, count));
    format!(
        "bytes   in {}/s  out {}/s   blocked {} r {} w   datagrams {}",
        of(figures.bytes_in),
        of(figures.bytes_out),
        thousands(figures.reads_blocked),
        thousands(figures.writes_blocked),
        rate(per_second(figures, figures.datagrams_in))
    )
}

fn queue_line(figures: &Figures) -> String {
    format!(
        "queue   ready→served p50 {} p99 {} max {}   longest turn {}",
        quantile(&figures.waits, 0.5),
        quantile(&figures.waits, 0.99),
        quantile(&figures.waits, 1.0),
        time(figures.longest_turn.took)
    )
}

fn waste_line(figures: &Figures) -> String {
    format!(
        "waste   {} of wake-ups   {} write-blocked   {} out of budget   accepted {}",
        percent(figures.wasted_share()),
        thousands(figures.blocked_now),
        thousands(figures.yielded),
        rate(per_second(figures, figures.accepted))
    )
}

fn hot_line(figures: &Figures, name: &impl Fn(ClientId) -> String) -> String {
    let Some(hot) = figures.hottest() else {
        return "hottest -".to_owned();
    };
    format!(
        "hottest {}   {} of the work   {}/s   {} at once",
        name(hot.who),
        whole_percent(hot.busy as f64 / figures.busy.max(1) as f64),
        bytes(per_second(figures, hot.bytes)),
        time(hot.longest.took)
    )
}

/// Always as many lines, so that the view does not jump.
fn lint_lines(found: &[Lint], width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if found.is_empty() {
        lines.push("lints   nothing odd".to_owned());
    }
    for lint in found.iter().take(LINTS_MAX) {
        let text = format!("LINT    {}: {}", lint.name, lint.sentence);
        let told = wrap(&text, width, 8);
        let more = told.len() > LINT_LINES;
        lines.extend(told.into_iter().take(LINT_LINES));
        if let (true, Some(last)) = (more, lines.last_mut()) {
            *last = cut(&format!("{} ...", cut(last, width - 4)), width);
        }
    }
    lines
}

/// The words of `text` on as many lines as they take, the later ones indented.
fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is a first");
        let fits = line.chars().count() + 1 + word.chars().count() <= width;
        if line.is_empty() {
            line.push_str(word);
        } else if fits {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(format!("{}{word}", " ".repeat(indent)));
        }
    }
    lines
}

/// `line`, as far as it fits.
fn cut(line: &str, width: usize) -> String {
    line.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Call, Meter, Moved, Record, Served, What};

    const WHO: ClientId = ClientId::new(5 << 32 | 3);

    /// A tenth of a second in which one connection is served for 30 ms, and the loop sleeps for the rest.
    fn figures(began: u64) -> Figures {
        let mut meter = Meter::new(began);
        let of = |at, took, who, what| Record {
            at,
            took,
            who,
            what,
        };
        let client = ([127, 0, 0, 1], 4711).into();
        let call = Call {
            offset: 0,
            asked: 16_384,
            result: Moved::Bytes(2048),
        };
        for record in [
            of(began, 0, Some(WHO), What::Open { client }),
            of(
                began,
                70_000_000,
                None,
                What::Poll {
                    events: 2,
                    full: false,
                },
            ),
            of(began + 71_000_000, 10_000, Some(WHO), What::Read(call)),
            of(began + 72_000_000, 10_000, Some(WHO), What::Write(call)),
            of(
                began + 70_000_000,
                29_000_000,
                Some(WHO),
                What::Serve {
                    waited: Some(3_000),
                    served: Served::Done,
                },
            ),
            of(began + 70_000_000, 30_000_000, None, What::Turn),
        ] {
            meter.take(&record);
        }
        meter.take_figures(began + 100_000_000)
    }

    #[test]
    fn the_view_tells_the_headline_figures_within_its_width() {
        let mut watch = Watch::new(Role::Server, "echoloop serve 127.0.0.1:25555");
        assert!(watch.lines(80, None, |_| None).is_empty());
        for stretch in 0..300 {
            watch.take(figures(stretch * 100_000_000));
        }
        let client = |_| Some(([127, 0, 0, 1], 4711).into());
        let lines = watch.lines(80, Some(2), client);
        let text = lines.join("\n");
        for told in [
            "echoloop serve 127.0.0.1:25555   up 00:30   ",
            "busy 30 %   turns 10/s   events/turn p50 2 p99 2 max 2",
            "messages 10/s   syscalls/message 3.00 (r 1.00 w 1.00 poll 1.00)",
            "in 20.0 KiB/s  out 20.0 KiB/s",
            "ready→served p50 3.0",
            "longest turn 30.0 ms",
            "waste   0 % of wake-ups   0 write-blocked",
            "hottest 127.0.0.1:4711   97 % of the work",
            "LINT    long-turn: One turn took 30.0 ms",
        ] {
            assert!(text.contains(told), "{told}\n{text}");
        }
        for width in [40, 80, 120, 500] {
            for line in watch.lines(width, Some(2), client) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        let breath = &watch.lines(120, None, client)[1];
        assert_eq!(breath.chars().filter(|bar| *bar == '▃').count(), 112);
        assert_eq!(
            watch.line(),
            "busy 30 %  2.00 events/turn  3.00 system calls/message  wasted 0 %  ready to served p99 3.01 µs  10/s \
             messages  1 connections  longest iteration 30.0 ms (cpu -)"
        );
        let mut used = figures(300 * 100_000_000);
        used.longest_turn_cpu = 2_500_000;
        watch.take(used);
        let line = watch.line();
        assert!(
            line.ends_with("longest iteration 30.0 ms (cpu 2.50 ms)"),
            "{line}"
        );
    }
}
