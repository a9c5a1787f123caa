// What is drawn: only what can be seen, and what is narrower than a pixel together with what else falls into it.

const canvas = document.getElementById("canvas");
const breath = document.getElementById("breath");
const RULER = 24;
const LOOP_HEIGHTS = [22, 22, 16];
const LOOP_GAP = 3;
const LANES_TOP = RULER + LOOP_HEIGHTS.reduce((sum, height) => sum + height + LOOP_GAP, 0) + 14;
const LANE = 15;
const SHORTEST = 200;

/** From when until when is seen, in nanoseconds since the beginning; what is chosen, and what the pointer is on. */
const view = { from: 0, to: Math.max(data.span, SHORTEST), row: 0, selected: -1, hover: -1, width: 0, gutter: 0 };
const whole = view.to;
let ink = {};

function readInk() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["page", "surface", "text", "soft", "line", "strong-line", "accent", "warn", "poll", "turn", "read", "write", "bar"];
  ink = Object.fromEntries(names.map((name) => [name, colour(name)]));
  const tints = Array.from({ length: TINTS }, (_, tint) => colour(`tint-${tint}`));
  ink.shades = [...tints, ink["strong-line"], ink.poll, ink.turn, ink.read, ink.write];
  ink.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  ink.labels = new Map();
}

/** Black or white, whichever can be read on a colour. */
function inkOn(colour) {
  if (!ink.labels.has(colour)) {
    const part = (from) => {
      const share = parseInt(colour.slice(from, from + 2), 16) / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    };
    const light = 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
    ink.labels.set(colour, light > 0.179 ? "#000000" : "#ffffff");
  }
  return ink.labels.get(colour);
}

/** The place of a connection's colour. The busiest has one to itself. */
function tintOf(who) {
  if (who < 0) return TINTS;
  return who === 0 ? 0 : 1 + ((who - 1) % (TINTS - 1));
}

/** The place of a slice's colour among the shades: where many share a pixel, they are stacked in this order. */
function shadeOf(slice) {
  switch (kinds[slice]) {
    case "p": return TINTS + 1;
    case "t": return TINTS + 2;
    case "s": return tintOf(whose[slice]);
    case "r": return TINTS + 3;
    case "w": return TINTS + 4;
    default: return TINTS;
  }
}

const toX = (at) => view.gutter + ((at - view.from) / (view.to - view.from)) * (view.width - view.gutter);
const toTime = (x) => view.from + ((x - view.gutter) / (view.width - view.gutter)) * (view.to - view.from);

function rowTop(row) {
  if (row >= LOOP_ROWS) return LANES_TOP + (row - LOOP_ROWS) * LANE;
  let top = RULER;
  for (let above = 0; above < row; above += 1) top += LOOP_HEIGHTS[above] + LOOP_GAP;
  return top;
}

const rowHeight = (row) => (row < LOOP_ROWS ? LOOP_HEIGHTS[row] : LANE - 2);

function rowAt(y) {
  for (let row = 0; row < rows.length; row += 1) {
    if (y >= rowTop(row) && y < rowTop(row) + rowHeight(row) + 2) return row;
  }
  return -1;
}

/** Sizes a canvas to the pixels of the screen. */
function prepare(element, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(element.clientWidth, 1);
  if (element.width !== Math.round(width * ratio) || element.height !== Math.round(height * ratio)) {
    element.width = Math.round(width * ratio);
    element.height = Math.round(height * ratio);
    element.style.height = `${height}px`;
  }
  const context = element.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = ink.font;
  context.textBaseline = "middle";
  return context;
}

let asked = false;

/** Draws everything before the next frame. */
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    drawAll();
  });
}

function drawAll() {
  view.width = Math.max(canvas.clientWidth, 200);
  view.gutter = view.width < 720 ? 116 : 150;
  const height = LANES_TOP + data.lanes * LANE + 6;
  const context = prepare(canvas, height);
  drawRuler(context, height);
  drawLabels(context);
  context.save();
  context.beginPath();
  context.rect(view.gutter, 0, view.width - view.gutter, height);
  context.clip();
  for (let row = 0; row < rows.length; row += 1) {
    if (row >= LOOP_ROWS) drawLife(context, row);
    drawSlices(context, row);
  }
  drawSelected(context);
  context.restore();
  drawBreath();
  const shown = view.to - view.from;
  document.getElementById("window").textContent = shown < whole
    ? `${moment(view.from, shown / 100)} to ${moment(view.to, shown / 100)}: ${time(shown)}`
    : `The whole trace: ${time(whole)}`;
}

/** A step of 1, 2 or 5 and zeros, so that about `many` of them are seen. */
function stepOf(range, many) {
  const step = 10 ** Math.floor(Math.log10(range / many));
  return [1, 2, 5, 10].map((times) => times * step).find((times) => range / times <= many) || step * 10;
}

function drawRuler(context, height) {
  const step = Math.max(stepOf(view.to - view.from, (view.width - view.gutter) / 90), 1);
  context.fillStyle = ink.soft;
  context.strokeStyle = ink.line;
  context.textAlign = "center";
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    const x = Math.round(toX(at)) + 0.5;
    context.beginPath();
    context.moveTo(x, RULER - 6);
    context.lineTo(x, height);
    context.stroke();
    const label = at === 0 ? "0" : moment(at, step);
    const half = context.measureText(label).width / 2;
    if (x - half > view.gutter && x + half <= view.width) context.fillText(label, x, 9);
  }
  context.fillStyle = ink.warn;
  for (const [at] of data.marks) {
    const x = toX(at);
    if (x < view.gutter || x > view.width) continue;
    context.beginPath();
    context.moveTo(x - 5, RULER - 9);
    context.lineTo(x + 5, RULER - 9);
    context.lineTo(x, RULER - 1);
    context.fill();
  }
}

function drawLabels(context) {
  context.textAlign = "left";
  for (let row = 0; row < rows.length; row += 1) {
    const top = rowTop(row);
    const chosen = row === view.row && document.activeElement === canvas;
    if (chosen) {
      context.fillStyle = ink.surface;
      context.fillRect(0, top, view.width, rowHeight(row));
      context.fillStyle = ink.accent;
      context.fillRect(0, top, 3, rowHeight(row));
    }
    if (row >= LOOP_ROWS) {
      context.fillStyle = ink.shades[tintOf(rows[row].lane)];
      context.fillRect(7, top + 3, 7, rowHeight(row) - 6);
    }
    context.fillStyle = row < LOOP_ROWS || chosen ? ink.text : ink.soft;
    const indent = row < LOOP_ROWS ? 7 : 19;
    context.fillText(fitted(context, rows[row].label, view.gutter - indent - 8), indent, top + rowHeight(row) / 2 + 0.5);
  }
}

/** A label with as much of its end as there is room for: ports tell addresses apart. */
function fitted(context, label, room) {
  let text = label;
  while (text.length > 1 && context.measureText(text === label ? text : `…${text}`).width > room) text = text.slice(1);
  return text === label ? text : `…${text}`;
}

/** How long a connection was there, ready, owed bytes; and a load's messages. */
function drawLife(context, row) {
  const lane = rows[row].lane;
  const [opened, closed] = data.lives[lane];
  const top = rowTop(row);
  const middle = top + Math.floor(rowHeight(row) / 2);
  const line = (from, to, y, height, colour) => {
    const x = Math.max(toX(from), view.gutter);
    context.fillStyle = colour;
    context.fillRect(x, y, Math.max(Math.min(toX(to), view.width) - x, 0), height);
  };
  if (closed >= view.from && opened <= view.to) line(opened, closed, middle, 1, ink.line);
  const { slices } = rows[row];
  const pixel = (view.to - view.from) / (view.width - view.gutter);
  for (let place = Math.max(placeBehind(rows[row], view.from) - 1, 0); place < slices.length; place += 1) {
    const slice = slices[place];
    if (begins[slice] - Math.max(one[slice], 0) > view.to) break;
    if (one[slice] > pixel) line(begins[slice] - one[slice], begins[slice], middle - 2, 4, ink["strong-line"]);
    if (other[slice] === 1) {
      const until = place + 1 < slices.length ? begins[slices[place + 1]] : closed;
      if (until - ends[slice] > pixel) line(ends[slice], until, middle - 1, 3, ink.warn);
    }
  }
  const those = messages.get(lane);
  if (!those) return;
  const first = firstOf(those.due.length, (place) => those.due[place] >= view.from - those.longest);
  let drawn = -Infinity;
  for (let place = first; place < those.due.length && those.due[place] <= view.to; place += 1) {
    if (those.until[place] < Math.max(view.from, drawn)) continue;
    line(those.due[place], Math.max(those.until[place], those.due[place] + pixel), top + rowHeight(row) - 2, 2, ink.accent);
    drawn = those.until[place];
  }
}

/** Draws a row. What is narrower than a pixel is heaped up with what else falls into it: as high as it is long. */
function drawSlices(context, row) {
  const { slices } = rows[row];
  const top = rowTop(row);
  const height = rowHeight(row);
  const heap = new Float64Array(ink.shades.length);
  let column = -1;
  let solid = view.gutter;
  for (let place = placeBehind(rows[row], view.from); place < slices.length; place += 1) {
    const slice = slices[place];
    if (begins[slice] > view.to) break;
    const from = toX(begins[slice]);
    const to = toX(ends[slice]);
    if (to - from >= 1.5) {
      drawHeap(context, row, column, heap);
      column = -1;
      solid = Math.min(to, view.width);
      drawSlice(context, slice, Math.max(from, view.gutter), solid, top, height);
      continue;
    }
    if (Math.floor(from) !== column) {
      drawHeap(context, row, column, heap);
      column = Math.floor(from);
      // Sleep is the ground on which work is heaped up.
      if (row === 0 && column >= solid) {
        context.fillStyle = ink.poll;
        context.fillRect(column, top, 1, height);
      }
    }
    if (kinds[slice] !== "p") heap[shadeOf(slice)] += to - from;
  }
  drawHeap(context, row, column, heap);
}

/** Draws what is heaped up in a pixel, and clears it away. */
function drawHeap(context, row, column, heap) {
  if (column < 0) return;
  const height = rowHeight(row);
  const top = rowTop(row);
  let floor = top + height;
  for (let shade = 0; shade < heap.length; shade += 1) {
    if (heap[shade] === 0) continue;
    const share = Math.min(heap[shade], 1);
    context.fillStyle = ink.shades[shade];
    if (row >= LOOP_ROWS) {
      // That a connection was served at all is seen in any case.
      context.globalAlpha = 0.55 + 0.45 * share;
      context.fillRect(column, top + 1, 1, height - 2);
      context.globalAlpha = 1;
    } else {
      // A pixel at least, and not above the row.
      const high = Math.max(share * height, floor === top + height ? 1 : 0);
      floor = Math.max(floor - high, top);
      context.fillRect(column, floor, 1, high);
    }
    heap[shade] = 0;
  }
}

function drawSlice(context, slice, from, to, top, height) {
  const colour = ink.shades[shadeOf(slice)];
  const isCall = DEPTH[kinds[slice]] === 2;
  // A gap tells neighbours of one colour apart.
  const width = to - from - (to - from > 4 ? 1 : 0);
  if (isCall && one[slice] < 0 && width > 3) {
    context.strokeStyle = colour;
    context.strokeRect(from + 0.5, top + 0.5, width - 1, height - 1);
  } else {
    context.fillStyle = colour;
    context.fillRect(from, top, width, height);
  }
  if (width < 34 || height < 16) return;
  const label = `${titleOf(slice)} · ${time(ends[slice] - begins[slice])}`;
  const short = context.measureText(label).width < width - 10 ? label : titleOf(slice);
  if (context.measureText(short).width >= width - 10) return;
  context.fillStyle = isCall && one[slice] < 0 ? ink.text : inkOn(colour);
  context.textAlign = "left";
  context.fillText(short, from + 5, top + height / 2 + 0.5);
}

function drawSelected(context) {
  if (view.selected < 0) return;
  const top = rowTop(view.row);
  const height = rowHeight(view.row);
  const from = toX(begins[view.selected]);
  const width = Math.max(toX(ends[view.selected]) - from, 2);
  if (from > view.width || from + width < view.gutter) return;
  context.lineWidth = 2;
  context.strokeStyle = ink.page;
  context.strokeRect(from - 3, top - 2, width + 6, height + 4);
  context.strokeStyle = ink.accent;
  context.strokeRect(from - 1, top - 1, width + 2, height + 2);
  context.lineWidth = 1;
}

/** How much of each pixel of the whole trace the loop worked. */
function busyShares(width) {
  const shares = new Float64Array(width);
  const { slices } = rows[0];
  for (const slice of slices) {
    if (kinds[slice] !== "t") continue;
    const from = (begins[slice] / whole) * width;
    const to = (ends[slice] / whole) * width;
    for (let column = Math.floor(from); column < to && column < width; column += 1) {
      shares[column] += Math.min(to, column + 1) - Math.max(from, column);
    }
  }
  return shares;
}

let shares = new Float64Array(0);

function drawBreath() {
  const height = 48;
  const context = prepare(breath, height);
  const width = Math.floor(view.width - view.gutter);
  if (shares.length !== width) shares = busyShares(width);
  const top = 5;
  const room = height - top - 5;
  context.fillStyle = ink.soft;
  context.textAlign = "right";
  context.fillText("100 %", view.gutter - 8, top + 4);
  context.fillText("0 %", view.gutter - 8, top + room - 3);
  context.textAlign = "left";
  context.fillText("busy", 7, top + room / 2);
  context.fillStyle = ink.surface;
  context.fillRect(view.gutter, top, width, room);
  context.fillStyle = ink.bar;
  for (let column = 0; column < width; column += 1) {
    const high = Math.min(shares[column], 1) * room;
    context.fillRect(view.gutter + column, top + room - high, 1, high);
  }
  const from = view.gutter + (view.from / whole) * width;
  const to = Math.max(view.gutter + (view.to / whole) * width, from + 3);
  context.globalAlpha = 0.6;
  context.fillStyle = ink.page;
  context.fillRect(view.gutter, top, from - view.gutter, room);
  context.fillRect(to, top, view.gutter + width - to, room);
  context.globalAlpha = 1;
  context.lineWidth = 2;
  context.strokeStyle = ink.accent;
  context.strokeRect(from + 1, 2, Math.max(to - from - 2, 1), height - 4);
  context.lineWidth = 1;
  context.fillStyle = ink.warn;
  for (const [at] of data.marks) {
    const x = view.gutter + (at / whole) * width;
    context.beginPath();
    context.moveTo(x - 4, 0);
    context.lineTo(x + 4, 0);
    context.lineTo(x, 7);
    context.fill();
  }
}
