// The schematic of a Glow, as in TFP's documentation, from left (image) to right (latents): every
// block squeezes, takes its steps, and lets part of the channels exit downwards.
import { counted, shapeText, svg } from "./elements.mjs";

const LEFT = 128, EACH = 176, RIGHT = 110;  // before the blocks, for each, after them
const TOP = 36, LARGEST = 118, LATENTS = 204, HEIGHT = 304;
const LINE = TOP + LARGEST / 2;  // the height at which the tensor flows
const CARD = 88;  // the width of a block's steps
const MANY = 8;  // blocks; more of them need a wider drawing
const PARTS = ["actnorm", "conv", "coupling"];  // of a step

const text = (x, y, words, kind = "soft") =>
  svg("text", { x, y, class: kind, "text-anchor": "middle" }, words);

const box = (x, y, width, height, more = { class: "box" }) =>
  svg("rect", { x, y, width, height, rx: 6, ...more });

// The side of a box for so many numbers of all; logarithmic, so that the smallest is still seen.
const sideOf = (numbers, all) =>
  26 + (LARGEST - 26) * Math.log1p(numbers) / Math.log1p(all);

export function schematic({ h, w, c, steps }, { stages }) {
  const all = h * w * c, width = LEFT + EACH * stages.length + RIGHT, last = stages.at(-1);
  const words = stages.map(({ name, grab, channels }) =>
    `${name}: ${counted(steps, "step")} on ${counted(channels, "channel")}, ${grab} exit`).join("; ");
  const scale = (k) => `var(--scale${(stages.length - 1 - k) % 4})`;
  return svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img",
    ...(stages.length > MANY ? { width } : {}),
    "aria-label": `Image ${shapeText(h, w, c)}; ${words}` },
  ...imageBox(h, w, c),
  ...stages.flatMap((stage, k) => block(stage, LEFT + k * EACH, steps, all)),
  ...stages.flatMap((stage, k) => exit(stage, LEFT + k * EACH + 138, scale(k), all)),
  ...remaining(last, LEFT + EACH * stages.length, scale(stages.length - 1), all));
}

function imageBox(h, w, c) {
  const side = LARGEST * 0.8, middle = 8 + side / 2;
  return [box(8, LINE - side / 2, side, side), text(middle, LINE - 2, "image", "strong"),
    text(middle, LINE + 16, shapeText(h, w, c)),
    svg("path", { class: "flow", d: `M${8 + side} ${LINE}H${LEFT - 4}` })];
}

// A funnel for the squeeze, and a stack of cards for the steps.
function block({ name, h, w, channels }, x, steps, all) {
  const side = sideOf(h * w * channels, all), top = LINE - side / 2, left = x + 22;
  const cards = Math.max(1, Math.min(steps, 5)), middle = left + CARD / 2;
  const wide = LARGEST / 2 - 4;
  return [
    svg("path", { fill: "var(--squeeze)", opacity: 0.85, d: `M${x - 4} ${LINE - wide}`
      + `L${x + 14} ${LINE - 22}V${LINE + 22}L${x - 4} ${LINE + wide}Z` }),
    ...Array.from({ length: cards }, (_, n) => 4 * (cards - 1 - n)).map((behind) =>
      box(left + behind, top - behind, CARD, side)),
    ...PARTS.map((part, n) => svg("rect", { x: left + 8 + 25 * n, y: top + side - 11, width: 22,
      height: 4, rx: 2, fill: `var(--${part})` })),
    text(middle, TOP - 20, name), text(middle, LINE - 4, counted(steps, "step"), "strong"),
    text(middle, LINE + 14, shapeText(h, w, channels)),
    svg("path", { class: "flow", d: `M${left + CARD} ${LINE}H${x + EACH - 4}` })];
}

// An arrow down to what exits here.
function exit({ h, w, grab, leave }, x, own, all) {
  if (!grab) return [];
  const arrow = { fill: "none", stroke: own, "stroke-width": 3 };
  return [
    svg("path", { ...arrow, d: `M${x} ${LINE}V${LATENTS - 6}` }),
    svg("path", { ...arrow, d: `M${x - 6} ${LATENTS - 13}L${x} ${LATENTS - 4}l6 -9` }),
    ...(leave ? [svg("circle", { cx: x, cy: LINE, r: 6, fill: own })] : []),
    ...latents(x, LATENTS, shapeText(h, w, grab), sideOf(h * w * grab, all), own)];
}

// What goes through all blocks, at the end of the line.
function remaining({ h, w, leave }, x, own, all) {
  if (!leave) return [];
  const size = sideOf(h * w * leave, all), side = Math.max(24, size * 0.6);
  return latents(x + 4 + side / 2, LINE - side / 2, shapeText(h, w, leave), size, own);
}

function latents(x, top, shape, size, fill) {
  const side = Math.max(24, size * 0.6);
  return [box(x - side / 2, top, side, side, { fill, opacity: 0.9 }),
    text(x, top + side + 18, `z ${shape}`)];
}
