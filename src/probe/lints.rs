//! What is odd about how a loop runs, in sentences.

use super::figures::Figures;
use crate::service::ClientId;

/// Something odd about how a loop runs: a sentence with its evidence, its threshold, and what would help.
#[derive(Clone, Debug, PartialEq)]
pub struct Lint {
    /// Its short name, such as `hot-connection`.
    pub name: &'static str,
    /// What was seen, and what would help.
    pub sentence: String,
    /// When it can be seen best, in nanoseconds of the clock of the probe.
    pub at: Option<u64>,
    /// The connection that it is about.
    pub who: Option<ClientId>,
}

/// Whose loop it is: what helps is said in its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A server's.
    Server,
    /// A load generator's.
    Load,
}

/// The part of all polls that may bring as many events as one can.
const FULL_MAX: f64 = 0.01;

/// The part of the loop's work that one connection of several may take.
const HOT_MAX: f64 = 0.3;

/// How busy a loop has to be for that to matter to anybody.
const HOT_UTILISATION: f64 = 0.1;

/// How often in a row a connection may be ready and move no byte.
const STUCK_MAX: u64 = 16;

/// How long a turn may take: whoever becomes ready waits for it to end.
const TURN_MAX: u64 = 10_000_000;

/// The part of what is served that may be served for nothing, of at least so many.
const WASTED_MAX: f64 = 0.2;
const WASTED_MIN: u64 = 100;

/// How late messages may be sent.
const LATE_MAX: u64 = 1_000_000;

/// Finds what is odd about `figures`, the most serious first. `name` is how a connection is called, and `overflows` how
/// many connections the kernel has turned away for want of room in a backlog, if that is known.
pub fn lints(
    figures: &Figures,
    role: Role,
    overflows: Option<u64>,
    name: impl Fn(ClientId) -> String,
) -> Vec<Lint> {
    let found = [
        long_turn(figures, role),
        hot_connection(figures, role, &name),
        stuck(figures, &name),
        undrained(figures),
        wasted(figures),
        full_batches(figures),
        write_blocked(figures, role),
        late(figures, role),
        backlog(overflows),
    ];
    found.into_iter().flatten().collect()
}

fn lint(name: &'static str, sentence: String, at: Option<u64>) -> Lint {
    Lint {
        name,
        sentence,
        at,
        who: None,
    }
}

fn long_turn(figures: &Figures, role: Role) -> Option<Lint> {
    let longest = figures.longest_turn;
    if longest.took <= TURN_MAX {
        return None;
    }
    let remedy = match role {
        Role::Server => {
            "--read-budget bounds what one client may take of a turn, what blocks belongs on another thread, and another \
             program may have had this processor"
        }
        Role::Load => "another program may have had this processor: give this one its own",
    };
    let sentence = format!(
        "One turn took {}, more than {}, and whoever became ready meanwhile waited for its end: {remedy}.",
        time(longest.took),
        time(TURN_MAX)
    );
    Some(lint("long-turn", sentence, Some(longest.at)))
}

fn hot_connection(
    figures: &Figures,
    role: Role,
    name: &impl Fn(ClientId) -> String,
) -> Option<Lint> {
    let hot = figures.hottest()?;
    let share = hot.busy as f64 / figures.busy.max(1) as f64;
    if share <= HOT_MAX || figures.open < 2 || figures.utilisation() < HOT_UTILISATION {
        return None;
    }
    let remedy = match role {
        Role::Server => "--read-budget 16k lets the others have their turn sooner",
        Role::Load => "spread the load over more connections with --connections",
    };
    let sentence = format!(
        "{} used {} of the time this loop worked, more than {}, for up to {} at once; of the {} connections there, 1 % \
         waited for more than {} when they were ready. {remedy}.",
        name(hot.who),
        percent(share),
        percent(HOT_MAX),
        time(hot.longest.took),
        figures.open,
        time(figures.waits.value_at_quantile(0.99)),
    );
    let mut found = lint("hot-connection", sentence, Some(hot.longest.at));
    found.who = Some(hot.who);
    Some(found)
}

fn stuck(figures: &Figures, name: &impl Fn(ClientId) -> String) -> Option<Lint> {
    let (who, turns) = figures.stuck?;
    if turns <= STUCK_MAX {
        return None;
    }
    let sentence = format!(
        "{} was said to be ready {turns} times in a row, more than {STUCK_MAX}, and no byte was moved: a latch that \
         nothing clears, or an interest nobody has.",
        name(who)
    );
    let mut found = lint("no-progress", sentence, figures.wasted_at);
    found.who = Some(who);
    Some(found)
}

fn undrained(figures: &Figures) -> Option<Lint> {
    (figures.undrained > 0).then(|| {
        let sentence = format!(
            "{} times a read filled all the room there was, and was the last of its turn though no budget was spent: an \
             edge-triggered poll says nothing of what is left. Read until a read is short, or finds nothing.",
            figures.undrained
        );
        lint("undrained", sentence, None)
    })
}

fn wasted(figures: &Figures) -> Option<Lint> {
    let share = figures.wasted_share();
    (share > WASTED_MAX && figures.served >= WASTED_MIN).then(|| {
        let sentence = format!(
            "{} of the times a connection was served, more than {}, an event had called for it and no byte was moved: \
             register for what is needed only, and stop at a short read.",
            percent(share),
            percent(WASTED_MAX)
        );
        lint("spurious", sentence, figures.wasted_at)
    })
}

fn full_batches(figures: &Figures) -> Option<Lint> {
    let share = figures.full_batches as f64 / figures.turns.max(1) as f64;
    (share > FULL_MAX).then(|| {
        let sentence = format!(
            "{} of the polls, more than {}, brought as many events as one can: more were waiting. Let several loops share \
             the work with --reuse-port.",
            percent(share),
            percent(FULL_MAX)
        );
        lint("capacity-hit", sentence, None)
    })
}

fn write_blocked(figures: &Figures, role: Role) -> Option<Lint> {
    (figures.blocked_now > 0).then(|| {
        let remedy = match role {
            Role::Server => {
                "they are not read from meanwhile; --high-water bounds what each may be owed, --write-stall-timeout how long"
            }
            Role::Load => "the server does not read as fast as it is sent to",
        };
        let sentence = format!(
            "{} of {} connections are owed bytes that the kernel does not take, because the other side does not read: \
             {remedy}.",
            figures.blocked_now, figures.open
        );
        lint("write-blocked", sentence, None)
    })
}

fn late(figures: &Figures, role: Role) -> Option<Lint> {
    let late = figures.lateness.value_at_quantile(0.99);
    (role == Role::Load && !figures.lateness.is_empty() && late > LATE_MAX).then(|| {
        let sentence = format!(
            "1 % of the messages were sent more than {} behind the time they were due, more than {}: --timer timerfd or \
             spin wakes on time, and more connections or a deeper --pipeline let more be under way.",
            time(late),
            time(LATE_MAX)
        );
        lint("late", sentence, None)
    })
}

fn backlog(overflows: Option<u64>) -> Option<Lint> {
    let overflows = overflows.filter(|&overflows| overflows > 0)?;
    let sentence = format!(
        "{overflows} connections found no room in a backlog of this machine and were turned away, to try again a second \
         later: --backlog, net.core.somaxconn and --accept-budget make room."
    );
    Some(lint("accept-backlog", sentence, None))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn time(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{:.1} µs", nanoseconds as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", nanoseconds as f64 / 1e6),
        _ => format!("{:.2} s", nanoseconds as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests;
