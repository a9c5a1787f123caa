//! Whether a trace is one that viewers show as it is meant.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::nanoseconds;

/// The fields of an event that are checked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Checked<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    ph: Cow<'a, str>,
    pid: u64,
    tid: u64,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow)]
    dur: Option<&'a RawValue>,
}

/// A program and a track of it.
type Track = (u64, u64);

/// Slices of one track: when each begins and ends, and its name.
type Slices = Vec<(u64, u64, String)>;

/// Where an arrow goes: tracks, and times.
type Points = Vec<(Track, u64)>;

/// Checks that on each track of a trace a slice lies within another or beside it, and that each arrow goes forward in
/// time and touches a slice at every point.
///
/// Perfetto shows no slices that overlap on a track (its FAQ), and arrows only between slices.
///
/// # Errors
///
/// The first that does not.
pub fn check(text: &str) -> Result<(), String> {
    let events: Vec<Checked<'_>> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut tracks: BTreeMap<Track, Slices> = BTreeMap::new();
    let mut arrows: HashMap<String, Points> = HashMap::new();
    for event in events {
        let track = (event.pid, event.tid);
        let (at, took) = (time(event.ts)?, time(event.dur)?);
        match &*event.ph {
            "X" => {
                let slices = tracks.entry(track).or_default();
                slices.push((at, at + took, event.name.into_owned()));
            }
            "s" | "t" | "f" => {
                let id = event.id.map_or("", RawValue::get).to_owned();
                arrows.entry(id).or_default().push((track, at));
            }
            _ => {}
        }
    }
    for (track, slices) in &mut tracks {
        slices.sort_by_key(|&(from, until, _)| (from, std::cmp::Reverse(until)));
        check_track(*track, slices)?;
    }
    for (id, points) in &arrows {
        check_arrow(id, points, &tracks)?;
    }
    Ok(())
}

fn check_track(track: Track, slices: &Slices) -> Result<(), String> {
    let mut around: Slices = Vec::new();
    for slice in slices {
        let (from, until, name) = slice;
        while around.last().is_some_and(|(_, end, _)| end <= from) {
            around.pop();
        }
        if let Some((_, end, outer)) = around.last()
            && until > end
        {
            return Err(format!(
                "on track {track:?}, '{name}' at {from} ends {} ns behind '{outer}', in which it begins",
                until - end
            ));
        }
        around.push(slice.clone());
    }
    Ok(())
}

fn check_arrow(
    id: &str,
    points: &[(Track, u64)],
    tracks: &BTreeMap<Track, Slices>,
) -> Result<(), String> {
    if points.len() < 2 || !points.is_sorted_by_key(|&(_, at)| at) {
        return Err(format!("arrow {id} does not go forward: {points:?}"));
    }
    for (track, at) in points {
        let slices = tracks.get(track).map_or(&[][..], Vec::as_slice);
        // Sorted by where they begin; whichever holds a point is not far before the first that begins behind it.
        let behind = slices.partition_point(|(from, ..)| from <= at);
        let held = slices[..behind]
            .iter()
            .rev()
            .any(|(from, until, _)| from <= at && at <= until);
        if !held {
            return Err(format!("arrow {id} touches no slice on {track:?} at {at}"));
        }
    }
    Ok(())
}

/// A time in nanoseconds, or 0 for an event without it.
fn time(micros: Option<&RawValue>) -> Result<u64, String> {
    let text = micros.map_or("0", RawValue::get);
    nanoseconds(text).ok_or_else(|| format!("{text} is no time"))
}
