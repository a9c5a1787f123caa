//! What a wrong answer looks like.

use super::answers::Wrong;
use super::connection::{Connection, Socket};
use super::outcome::{Mismatch, MismatchKind};
use super::pattern::Pattern;

/// How many bytes of an answer are shown.
const SHOWN: usize = 16;

/// How many bytes must agree with the pattern to say where in it they are from.
const FOUND: usize = 8;

/// How far from where another connection is its bytes may be to be taken for its.
const REACH: u64 = 4096;

/// Describes what was wrong at `connection`: `got`, from the first wrong byte on. `places` are where in the pattern all
/// connections are.
pub(super) fn describe(
    connection: &Connection,
    wrong: Wrong,
    got: &[u8],
    pattern: &Pattern,
    places: &[(usize, u64)],
) -> Mismatch {
    let expected = wrong.place.map_or_else(Vec::new, |place| {
        pattern.at(place, SHOWN.min(got.len())).to_vec()
    });
    let local = match &connection.socket {
        Socket::Connected(stream) => stream.local_addr().ok(),
        _ => None,
    };
    Mismatch {
        connection: connection.number,
        local,
        offset: connection.answers.received(),
        expected,
        got: got[..got.len().min(SHOWN)].to_vec(),
        kind: kind(connection.number, wrong, got, pattern, places),
    }
}

fn kind(
    number: usize,
    wrong: Wrong,
    got: &[u8],
    pattern: &Pattern,
    places: &[(usize, u64)],
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
    let ahead = (found + period - place % period) % period;
    let behind = (period - ahead) % period;
    if ahead.min(behind) > REACH {
        let near = |other: u64| {
            let ahead = (found + period - other % period) % period;
            ahead.min(period - ahead) <= REACH
        };
        let mut others = places.iter().filter(|(other, _)| *other != number);
        if let Some((other, _)) = others.find(|(_, other)| near(*other)) {
            return MismatchKind::Foreign(*other);
        }
    }
    if ahead <= behind {
        MismatchKind::Lost(ahead)
    } else {
        MismatchKind::Repeated(behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_at(place: u64, got: &[u8], places: &[(usize, u64)]) -> MismatchKind {
        let wrong = Wrong {
            at: 0,
            place: Some(place),
            surplus: false,
        };
        kind(0, wrong, got, &Pattern::random(1), places)
    }

    #[test]
    fn what_is_missing_repeated_anothers_or_altered_is_told_apart() {
        let pattern = Pattern::random(1);
        let places = [(0, 100), (7, 40_000), (8, 20_000)];
        let at = |place| kind_at(100, pattern.at(place, 32), &places);
        assert_eq!(at(105), MismatchKind::Lost(5));
        assert_eq!(at(40), MismatchKind::Repeated(60));
        assert_eq!(at(100 + 65_521 - 40), MismatchKind::Repeated(40));
        assert_eq!(at(39_990), MismatchKind::Foreign(7));
        assert_eq!(at(60_000), MismatchKind::Repeated(5_621));
        let mut altered = pattern.at(100, 32).to_vec();
        altered[0] ^= 1;
        assert_eq!(kind_at(100, &altered, &places), MismatchKind::Altered);
    }
}
