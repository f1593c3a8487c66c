"use strict";
// The page's only script: it shows one place of the slider at a time, and draws its picture then.
const steps = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
const slider = at("step");
const ANCHORS = ["--negative2", "--negative1", "--zero", "--positive1", "--positive2"];
const NOT_FINITE = 255, LEVELS = 255, GAP = 1, MILLISECONDS = 700;
let colours = [], playing = 0;

function rgb(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map(k => parseInt(text.slice(k, k + 2), 16));
}

// The colour of each level, from the style sheet's five.
function readColours() {
  const anchors = ANCHORS.map(rgb);
  colours = Array.from({ length: LEVELS }, (_, level) => {
    const place = level / (LEVELS - 1) * (anchors.length - 1);
    const left = Math.min(Math.floor(place), anchors.length - 2);
    return anchors[left].map((v, k) => v + (place - left) * (anchors[left + 1][k] - v));
  });
  colours[NOT_FINITE] = rgb("--not-finite");
  paint(at("ramp"), LEVELS, 1, (x, _) => colours[x]);
}

// colour(x, y) gives [r, g, b], or nothing where the page shows through.
function paint(canvas, width, height, colour) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const found = colour(x, y);
      if (found) image.data.set([...found, 255], 4 * (y * width + x));
    }
  context.putImageData(image, 0, 0);
}

function bytes(text) {
  return Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
}

// Whole multiples of a pixel look even; what is larger than the column shrinks by max-width.
function enlarge(canvas, most) {
  const factor = Math.max(1, Math.min(24, Math.floor(most / Math.max(canvas.width, canvas.height))));
  canvas.style.width = canvas.width * factor + "px";
}

function drawPicture(step) {
  const { levels, count, height, width, columns, channels, limit } = step.picture;
  const numbers = bytes(levels), rows = Math.ceil(count / columns);
  paint(at("picture"), columns * (width + GAP) - GAP, rows * (height + GAP) - GAP, (x, y) => {
    const column = Math.floor(x / (width + GAP)), row = Math.floor(y / (height + GAP));
    const channel = row * columns + column, i = x % (width + GAP), j = y % (height + GAP);
    if (i === width || j === height || channel >= count) return null;
    return colours[numbers[(channel * height + j) * width + i]];
  });
  enlarge(at("picture"), 500);
  const what = step.picture.vector ? "The vector, line by line"
    : `${count} channel${count > 1 ? "s" : ""} of ${height} x ${width}, in reading order`;
  const left = step.picture.left_out ? ` (${step.picture.left_out})` : "";
  at("caption").textContent = `${what}${left}.`
    + (numbers.includes(NOT_FINITE) ? " Magenta: not finite." : "");
  at("picture").setAttribute("aria-label",
    `${step.name}: ${what}${left}, colours from -${limit} over 0 to ${limit}`);
  at("low").textContent = limit === "0" ? "0" : `-${limit}`;
  at("high").textContent = limit;
  at("image").hidden = !step.picture.rgb;
  if (!step.picture.rgb) return;
  const image = bytes(step.picture.rgb.levels), wide = step.picture.rgb.width;
  paint(at("rgb"), wide, step.picture.rgb.height,
    (x, y) => image.subarray(3 * (y * wide + x), 3 * (y * wide + x) + 3));
  enlarge(at("rgb"), 260);
}

function element(tag, text, name) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function showNumbers(step) {
  at("statistics").replaceChildren(...step.statistics.map(([name, value]) => {
    const pair = document.createElement("div");
    pair.append(element("dt", name), element("dd", value));
    return pair;
  }));
  at("worked-section").hidden = !step.worked;
  if (!step.worked) return;
  at("where").textContent = step.worked.where;
  at("sections").replaceChildren(...step.worked.sections.map(([title, lines]) => {
    const section = document.createElement("div");
    section.className = "worked";
    section.append(element("h3", title), ...lines.map(line => element("p", line)));
    return section;
  }));
}

function show() {
  const k = Number(slider.value), step = steps[k], last = steps.length - 1;
  for (const name of ["name", "title", "words", "maths", "shape", "carried", "bits", "condition_how"])
    at(name).textContent = step[name];
  at("log_det").textContent = step.log_det || "-";
  at("log_det_maths").textContent = step.log_det_maths === "0" ? "" : step.log_det_maths;
  at("condition").textContent = step.condition || "-";
  at("parts").textContent = `prior ${step.prior}, log-dets ${step.paid}`;
  at("count").textContent = `${k} of ${last}`;
  slider.setAttribute("aria-valuetext", `${k} of ${last}: ${step.name}, ${step.title}`);
  at("back").disabled = k === 0;
  at("next").disabled = k === last;
  document.documentElement.style.setProperty("--at", k / last);
  showNumbers(step);
  drawPicture(step);
}

function go(k) {
  slider.value = Math.max(0, Math.min(steps.length - 1, k));
  show();
}

function play(start) {
  clearInterval(playing);
  playing = 0;
  if (start) {
    if (Number(slider.value) === steps.length - 1) go(0);
    playing = setInterval(() => {
      go(Number(slider.value) + 1);
      if (Number(slider.value) === steps.length - 1) play(false);
    }, MILLISECONDS);
  }
  at("play").textContent = start ? "\u23f8 Pause" : "\u25b6 Play";
  at("play").setAttribute("aria-pressed", String(start));
}

slider.addEventListener("input", () => { play(false); show(); });
at("back").addEventListener("click", () => { play(false); go(Number(slider.value) - 1); });
at("next").addEventListener("click", () => { play(false); go(Number(slider.value) + 1); });
at("play").addEventListener("click", () => play(!playing));

// The arrow keys work wherever the focus is, except where they mean something else.
const KEYS = { ArrowLeft: k => k - 1, ArrowRight: k => k + 1, PageUp: k => k + 10, PageDown: k => k - 10,
               Home: () => 0, End: () => steps.length - 1 };
document.addEventListener("keydown", event => {
  const free = !event.ctrlKey && !event.altKey && !event.metaKey;
  const own = event.target === slider;
  const page = own || event.target === document.body || event.target.closest(".player");
  if (!free || !page) return;
  if (event.key === " " && event.target.tagName !== "BUTTON") {
    event.preventDefault();
    play(!playing);
  } else if (KEYS[event.key] && (own || event.key.startsWith("Arrow"))) {
    event.preventDefault();
    play(false);
    go(KEYS[event.key](Number(slider.value)));
  }
});

for (const box of document.querySelectorAll(".box"))
  box.addEventListener("click", event => {
    const place = box.getBoundingClientRect();
    play(false);
    go(Math.round((event.clientX - place.left) / place.width * (steps.length - 1)));
  });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); show(); });
readColours();
show();
