// What can be done with the timeline, with a pointer and with keys.

const tip = document.getElementById("tip");
const detail = document.getElementById("detail");
const NOBODY = "No slice is chosen. Point at one, or choose with the keys.";

/** Shows from `from` until `to`, as far as there is something. */
function show(from, to) {
  const range = Math.min(Math.max(to - from, SHORTEST), whole);
  const middle = (from + to) / 2;
  view.from = Math.min(Math.max(middle - range / 2, 0), whole - range);
  view.to = view.from + range;
  redraw();
}

function pan(by) {
  const range = view.to - view.from;
  const from = Math.min(Math.max(view.from + by, 0), whole - range);
  show(from, from + range);
}

/** Makes everything so many times as wide around `at`, which stays where it is. */
function zoom(times, at = (view.from + view.to) / 2) {
  const range = Math.min(Math.max((view.to - view.from) / times, SHORTEST), whole);
  const share = (at - view.from) / (view.to - view.from);
  show(at - share * range, at - share * range + range);
}

function zoomTo(slice) {
  const room = Math.max(ends[slice] - begins[slice], SHORTEST) * 0.3;
  show(begins[slice] - room, ends[slice] + room);
}

/** Moves as little as it takes for a slice to be seen; out of everything, closer to it. */
function reveal(slice) {
  const range = view.to - view.from;
  if (begins[slice] < view.from || ends[slice] > view.to) {
    const middle = (begins[slice] + ends[slice]) / 2;
    const wanted = Math.max(range, (ends[slice] - begins[slice]) * 1.2);
    show(middle - wanted / 2, middle + wanted / 2);
  }
  redraw();
}

function fill(element, slice) {
  const [headline, ...sentences] = describe(slice);
  const strong = document.createElement("strong");
  strong.textContent = headline;
  const lines = sentences.map((sentence) => {
    const line = document.createElement("span");
    line.textContent = sentence;
    return line;
  });
  element.replaceChildren(strong, ...lines);
}

function select(slice, row = view.row) {
  view.selected = slice;
  view.row = row;
  detail.classList.toggle("nothing", slice < 0);
  if (slice < 0) detail.textContent = NOBODY;
  else fill(detail, slice);
  redraw();
}

/** Chooses the next slice of the row, or the one before: of the window, if none is chosen. */
function step(by) {
  const row = rows[view.row];
  if (row.slices.length === 0) return;
  let place;
  if (view.selected >= 0) {
    place = firstOf(row.slices.length, (index) => row.slices[index] >= view.selected) + by;
  } else {
    place = placeBehind(row, by > 0 ? view.from : view.to) - (by > 0 ? 0 : 1);
  }
  place = Math.min(Math.max(place, 0), row.slices.length - 1);
  select(row.slices[place]);
  reveal(row.slices[place]);
}

/** Goes to another row, and there to what is nearest to what was chosen. */
function chooseRow(by) {
  const row = Math.min(Math.max(view.row + by, 0), rows.length - 1);
  if (row === view.row) return;
  const at = view.selected >= 0 ? begins[view.selected] : (view.from + view.to) / 2;
  const near = sliceNear(rows[row], at, (view.to - view.from) / 2);
  select(near, row);
  if (near < 0) detail.textContent = `${rows[row].label}: nothing near. ${counted(rows[row].slices.length, "slice")} in all.`;
}

const KEYS = {
  ArrowLeft: () => pan((view.from - view.to) / 8),
  ArrowRight: () => pan((view.to - view.from) / 8),
  ArrowUp: () => chooseRow(-1),
  ArrowDown: () => chooseRow(1),
  "+": () => zoom(1.6, anchor()),
  "=": () => zoom(1.6, anchor()),
  "-": () => zoom(1 / 1.6, anchor()),
  "−": () => zoom(1 / 1.6, anchor()),
  Home: () => pan(-whole),
  End: () => pan(whole),
  0: () => show(0, whole),
  n: () => step(1),
  p: () => step(-1),
  Enter: () => view.selected >= 0 && zoomTo(view.selected),
  Escape: () => select(-1),
};

/** What stays where it is when a key zooms: what is chosen, if it is seen. */
function anchor() {
  const at = view.selected >= 0 ? (begins[view.selected] + ends[view.selected]) / 2 : -1;
  return at >= view.from && at <= view.to ? at : (view.from + view.to) / 2;
}

canvas.addEventListener("keydown", (event) => {
  const action = KEYS[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  hideTip();
  action();
});
canvas.addEventListener("focus", redraw);
canvas.addEventListener("blur", redraw);

const buttons = {
  previous: () => step(-1),
  next: () => step(1),
  in: () => zoom(1.6, anchor()),
  out: () => zoom(1 / 1.6, anchor()),
  all: () => show(0, whole),
};
for (const [id, action] of Object.entries(buttons)) document.getElementById(id).addEventListener("click", action);

/** What is under the pointer: a row, and a slice or -1. */
function under(event) {
  const row = rowAt(event.offsetY);
  if (row < 0 || event.offsetX < view.gutter) return [row, -1];
  const reach = (3 * (view.to - view.from)) / (view.width - view.gutter);
  return [row, sliceNear(rows[row], toTime(event.offsetX), reach)];
}

function hideTip() {
  view.hover = -1;
  tip.hidden = true;
}

function showTip(event, slice) {
  if (slice < 0) {
    hideTip();
    return;
  }
  if (slice !== view.hover) fill(tip, slice);
  view.hover = slice;
  tip.hidden = false;
  const left = event.offsetX + 16;
  const turned = left + tip.offsetWidth > view.width ? Math.max(event.offsetX - tip.offsetWidth - 12, 0) : left;
  tip.style.left = `${turned}px`;
  tip.style.top = `${canvas.offsetTop + event.offsetY + 18}px`;
}

let drag = null;

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  drag = { x: event.offsetX, from: view.from, to: view.to, moved: false };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (!drag) {
    showTip(event, under(event)[1]);
    return;
  }
  const by = ((drag.x - event.offsetX) / (view.width - view.gutter)) * (drag.to - drag.from);
  drag.moved ||= Math.abs(drag.x - event.offsetX) > 3;
  if (!drag.moved) return;
  canvas.classList.add("held");
  hideTip();
  const from = Math.min(Math.max(drag.from + by, 0), whole - (drag.to - drag.from));
  show(from, from + drag.to - drag.from);
});
canvas.addEventListener("pointerup", (event) => {
  if (drag && !drag.moved) {
    const [row, slice] = under(event);
    if (row >= 0) select(slice, row);
  }
  drag = null;
  canvas.classList.remove("held");
});
canvas.addEventListener("pointercancel", () => {
  drag = null;
  canvas.classList.remove("held");
});
canvas.addEventListener("pointerleave", hideTip);
canvas.addEventListener("dblclick", (event) => {
  const [, slice] = under(event);
  if (slice >= 0) zoomTo(slice);
  else zoom(4, toTime(event.offsetX));
});
canvas.addEventListener("wheel", (event) => {
  const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
  // Whoever scrolls through the page is not held up here.
  if (!sideways && !event.ctrlKey && document.activeElement !== canvas) return;
  event.preventDefault();
  hideTip();
  const by = event.deltaMode === 1 ? 16 : 1;
  if (sideways) pan((((event.deltaX || event.deltaY) * by) / (view.width - view.gutter)) * (view.to - view.from));
  else zoom(Math.exp(-Math.max(-300, Math.min(300, event.deltaY * by)) / 300), toTime(Math.max(event.offsetX, view.gutter)));
}, { passive: false });

let held = null;

function moveWindow(event) {
  const at = ((event.offsetX - view.gutter) / (view.width - view.gutter)) * whole;
  const from = at - held;
  pan(from - view.from);
}
breath.addEventListener("pointerdown", (event) => {
  const at = ((event.offsetX - view.gutter) / (view.width - view.gutter)) * whole;
  const range = view.to - view.from;
  held = at >= view.from && at <= view.to ? at - view.from : range / 2;
  breath.setPointerCapture(event.pointerId);
  moveWindow(event);
});
breath.addEventListener("pointermove", (event) => {
  if (held !== null) moveWindow(event);
});
for (const name of ["pointerup", "pointercancel"]) breath.addEventListener(name, () => { held = null; });

/** Goes to the slice that a link leads to. */
function follow(hash) {
  const slice = Number(/^#slice-(\d+)$/.exec(hash)?.[1] ?? NaN);
  if (!(slice < count)) return;
  select(slice, DEPTH[kinds[slice]]);
  zoomTo(slice);
  document.getElementById("timeline").scrollIntoView();
  canvas.focus({ preventScroll: true });
}
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='#slice-']");
  if (!link) return;
  event.preventDefault();
  history.replaceState(null, "", link.hash);
  follow(link.hash);
});
window.addEventListener("hashchange", () => follow(location.hash));

function recolour() {
  readInk();
  redraw();
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
matchMedia("print").addEventListener("change", () => {
  readInk();
  drawAll();
});
new ResizeObserver(redraw).observe(canvas);

document.getElementById("view").hidden = false;
document.getElementById("view").classList.toggle("load", messages.size > 0);
readInk();
select(-1, 0);
drawAll();
follow(location.hash);
