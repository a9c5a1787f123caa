//! What a wrong reply looks like.

use std::net::SocketAddr;

use crate::load::result::outcome::{Mismatch, MismatchKind};
use crate::load::verify::pattern::Pattern;
use crate::load::verify::reply_verifier::Discrepancy;

/// How many bytes of an answer are shown.
const SHOWN: usize = 16;

/// How many bytes must agree with the pattern to say where in it they are from.
const FOUND: usize = 8;

/// Where in the pattern a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) connection: usize,
    /// Where the byte is that is to come next.
    pub(crate) next: u64,
    /// How many bytes of messages are on their way from there on.
    pub(crate) in_flight: u64,
}

/// Describes what was wrong on connection `number` from `local`: `got`, from the first wrong byte on, after `received`
/// right bytes of replies. `places` are where all connections are.
pub(crate) fn describe(
    (number, local): (usize, Option<SocketAddr>),
    wrong: Discrepancy,
    received: u64,
    got: &[u8],
    pattern: &Pattern,
    places: &[Place],
) -> Mismatch {
    let expected = wrong.place.map_or_else(Vec::new, |place| {
        pattern.at(place, SHOWN.min(got.len())).to_vec()
    });
    Mismatch {
        connection: number,
        local,
        offset: received,
        expected,
        got: got[..got.len().min(SHOWN)].to_vec(),
        kind: kind(number, wrong, got, pattern, places, received),
    }
}

fn kind(
    number: usize,
    wrong: Discrepancy,
    got: &[u8],
    pattern: &Pattern,
    places: &[Place],
    received: u64,
) -> MismatchKind {
    if wrong.surplus {
        return MismatchKind::Surplus;
    }
    let (Some(place), true) = (wrong.place, got.len() >= FOUND) else {
        return MismatchKind::Altered;
    };
    let Some(found) = pattern.find(&got[..got.len().min(SHOWN)]) else {
        return MismatchKind::Altered;
    };
    let period = pattern.period();
    let ahead_of = |place: u64| (found + period - place % period) % period;
    let (ahead, behind) = (ahead_of(place), period - ahead_of(place));
    // Nothing can be missing that was not sent, nor come again that has not come.
    let own = places.iter().find(|other| other.connection == number);
    if own.is_some_and(|own| ahead < own.in_flight) {
        return MismatchKind::Lost(ahead);
    }
    if behind <= received {
        return MismatchKind::Repeated(behind);
    }
    let sent_it =
        |other: &&Place| other.connection != number && ahead_of(other.next) < other.in_flight;
    match places.iter().find(sent_it) {
        Some(other) => MismatchKind::Foreign(other.connection),
        None => MismatchKind::Altered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_repeated_anothers_or_altered_is_told_apart() {
        let pattern = Pattern::random(1);
        let place = |connection, next, in_flight| Place {
            connection,
            next,
            in_flight,
        };
        let places = [place(0, 100, 64), place(7, 40_000, 64), place(8, 300, 64)];
        let kind_of = |got: &[u8]| {
            let wrong = Discrepancy {
                at: 0,
                place: Some(100),
                surplus: false,
            };
            kind(0, wrong, got, &pattern, &places, 80)
        };
        let at = |place| kind_of(pattern.at(place, 32));
        assert_eq!(at(105), MismatchKind::Lost(5));
        assert_eq!(at(40), MismatchKind::Repeated(60));
        assert_eq!(at(40_010), MismatchKind::Foreign(7));
        assert_eq!(
            at(310),
            MismatchKind::Foreign(8),
            "no more than 64 could be missing"
        );
        assert_eq!(at(20_000), MismatchKind::Altered, "nobody has sent that");
        let mut altered = pattern.at(100, 32).to_vec();
        altered[0] ^= 1;
        assert_eq!(kind_of(&altered), MismatchKind::Altered);
    }
}
