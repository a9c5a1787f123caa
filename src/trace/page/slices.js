// What the trace holds, in arrays of numbers: as objects it would take ten times the memory, and be slow to draw.

const data = JSON.parse(document.getElementById("trace").textContent);
const kinds = data.kind;
const count = kinds.length;
const begins = new Float64Array(count);
const ends = new Float64Array(count);
const whose = Int32Array.from(data.who);
const one = Float64Array.from(data.one);
const other = Float64Array.from(data.other);
const TINTS = 7;

for (let slice = 0, at = 0; slice < count; slice += 1) {
  at += data.after[slice];
  begins[slice] = at;
  ends[slice] = at + data.took[slice];
}

const DEPTH = { p: 0, t: 0, s: 1, a: 1, d: 1, r: 2, w: 2 };
const OUTCOMES = ["all was done", "owed bytes that the kernel does not take", "its budget was spent, and it has more to do", "it is over"];

// The rows: three of the loop, and one for each connection that has a lane. On a row, slices do not overlap.
const rows = [
  { label: "poll and turn", slices: [], lane: -1 },
  { label: "serving", slices: [], lane: -1 },
  { label: "calls", slices: [], lane: -1 },
];
for (let lane = 0; lane < data.lanes; lane += 1) {
  rows.push({ label: data.names[lane], slices: [], lane });
}
const LOOP_ROWS = 3;
const turnNumbers = new Map();
for (let slice = 0; slice < count; slice += 1) {
  const kind = kinds[slice];
  rows[DEPTH[kind]].slices.push(slice);
  if (kind === "t") turnNumbers.set(slice, turnNumbers.size + 1);
  if (kind === "s" && whose[slice] >= 0 && whose[slice] < data.lanes) {
    rows[LOOP_ROWS + whose[slice]].slices.push(slice);
  }
}
for (const row of rows) row.slices = Uint32Array.from(row.slices);

// A load's messages may overlap: those of a lane are sorted by when they were due, and the longest is known.
const messages = new Map();
for (const [lane, due, took] of data.messages) {
  if (!messages.has(lane)) messages.set(lane, { due: [], until: [], longest: 0 });
  const those = messages.get(lane);
  those.due.push(due);
  those.until.push(due + took);
  those.longest = Math.max(those.longest, took);
}

/** The first place in `sorted` for which `is` holds, if it holds for all behind it as well. */
function firstOf(length, is) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (is(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The place in a row of the first slice that ends behind `at`. */
function placeBehind(row, at) {
  return firstOf(row.slices.length, (place) => ends[row.slices[place]] > at);
}

/** The slice of a row nearest to `at`, if it is within `reach`. */
function sliceNear(row, at, reach) {
  const behind = placeBehind(row, at);
  let found = -1;
  let nearest = reach;
  for (const place of [behind - 1, behind]) {
    if (place < 0 || place >= row.slices.length) continue;
    const slice = row.slices[place];
    const distance = Math.max(begins[slice] - at, at - ends[slice], 0);
    if (distance <= nearest) {
      nearest = distance;
      found = slice;
    }
  }
  return found;
}

/** The slices that lie in one of the track of the loop: they follow it. */
function within(slice) {
  const depth = DEPTH[kinds[slice]];
  let until = slice + 1;
  while (until < count && DEPTH[kinds[until]] > depth && begins[until] <= ends[slice]) until += 1;
  return [slice + 1, until];
}

/** A number in groups of three digits. */
function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

function three(number) {
  if (number < 9.995) return number.toFixed(2);
  if (number < 99.95) return number.toFixed(1);
  return grouped(Math.round(number));
}

/** Nanoseconds, to three digits. */
function time(nanoseconds) {
  const units = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]];
  for (const [of, unit] of units) {
    if (nanoseconds >= of) return `${three(nanoseconds / of)}\u00a0${unit}`;
  }
  return `${Math.round(nanoseconds)}\u00a0ns`;
}

/** A moment, so exact that two that are `apart` can be told from each other. */
function moment(nanoseconds, apart) {
  if (nanoseconds <= 0) return "0\u00a0s";
  const [of, unit] = nanoseconds >= 1e9 ? [1e9, "s"] : nanoseconds >= 1e6 ? [1e6, "ms"] : [1e3, "µs"];
  const decimals = Math.min(9, Math.max(0, Math.ceil(-Math.log10(Math.max(apart, 1) / of))));
  return `${(nanoseconds / of).toFixed(decimals)}\u00a0${unit}`;
}

function bytes(number) {
  const units = [[1024 ** 3, "GiB"], [1024 ** 2, "MiB"], [1024, "KiB"]];
  for (const [of, unit] of units) {
    if (number >= of) return `${three(number / of)}\u00a0${unit}`;
  }
  return `${number}\u00a0B`;
}

function counted(number, what) {
  return `${grouped(number)}\u00a0${what}${number === 1 ? "" : "s"}`;
}

function nameOf(slice) {
  return whose[slice] < 0 ? "a connection" : data.names[whose[slice]];
}

/** What a slice is, in a few words: what stands in it if there is room. */
function titleOf(slice) {
  switch (kinds[slice]) {
    case "p": return "asleep";
    case "t": return `turn ${grouped(turnNumbers.get(slice))}`;
    case "s": return nameOf(slice);
    case "a": return `accept ${one[slice]}`;
    case "d": return "datagrams";
    case "r": return one[slice] >= 0 ? `read ${bytes(one[slice])}` : "read";
    default: return one[slice] >= 0 ? `write ${bytes(one[slice])}` : "write";
  }
}

/** What is known of a slice: a headline, and sentences. */
function describe(slice) {
  const took = ends[slice] - begins[slice];
  const when = `at ${moment(begins[slice], Math.max(took / 10, 100))}`;
  const at = when[0].toUpperCase() + when.slice(1);
  switch (kinds[slice]) {
    case "p": {
      const full = other[slice] ? ", as many as one poll can bring: more were waiting" : "";
      return [`Asleep in poll for ${time(took)}`, `${at}. It brought ${counted(one[slice], "event")}${full}.`];
    }
    case "t": return [`Turn ${grouped(turnNumbers.get(slice))}: ${time(took)} of work`, `${at}. ${contents(slice)}`];
    case "s": {
      const waited = one[slice] >= 0
        ? `It had been ready for ${time(one[slice])}.`
        : "No event asked for it: it was left over, or a deadline brought it.";
      return [`${nameOf(slice)} was served for ${time(took)}`, `${at}. ${waited} ${contents(slice)}`, `How it ended: ${OUTCOMES[other[slice]]}.`];
    }
    case "a": return [`Accepted ${counted(one[slice], "connection")} in ${time(took)}`, `${at}.`];
    case "d": return [`Datagrams: ${one[slice]} received, ${other[slice]} sent, in ${time(took)}`, `${at}.`];
    default: {
      const name = kinds[slice] === "r" ? "Read" : "Write";
      const room = kinds[slice] === "r" ? "there was room for" : "were to be written";
      const came = one[slice] >= 0
        ? `${bytes(one[slice])} of ${bytes(other[slice])} that ${room}.`
        : ["", kinds[slice] === "r" ? "Nothing was there (would block)." : "There was no room (would block).", "The other side has ended.", "It failed."][-one[slice]];
      return [`${name} for ${nameOf(slice)}, ${time(took)}`, `${at}. ${came}`];
    }
  }
}

/** Whom a turn has served, and what was called in a slice. */
function contents(slice) {
  const [from, until] = within(slice);
  let served = 0;
  const calls = { r: 0, w: 0 };
  const moved = { r: 0, w: 0 };
  for (let inner = from; inner < until; inner += 1) {
    const kind = kinds[inner];
    if (kind === "s") served += 1;
    if (kind in calls) {
      calls[kind] += 1;
      moved[kind] += Math.max(one[inner], 0);
    }
  }
  const said = kinds[slice] === "t" ? `${counted(served, "connection")} served, ` : "";
  return `${said}${counted(calls.r, "read")} (${bytes(moved.r)}), ${counted(calls.w, "write")} (${bytes(moved.w)}).`;
}
