// The third part: an architecture in a form, and what follows from it.
import { ImpossibleError } from "../architecture.mjs";
import { countsOf } from "../counts.mjs";
import { byId, bytesText, el, flopsText, oncePerFrame, whole } from "./elements.mjs";
import { schematic } from "./schematic.mjs";
import { shapesTable } from "./shapes_table.mjs";

const FIELDS = [["h", "Height"], ["w", "Width"], ["c", "Channels"], ["blocks", "Blocks"],
  ["steps", "Steps in each"], ["hidden", "Hidden filters"], ["batch", "Batch"],
  ["fractions", "Exit after each block"]];
const PRESETS = {
  "This page's sizes": null,
  "TFP's default": { h: 32, w: 32, c: 3, blocks: 3, steps: 32, hidden: 400 },
  "Paper, CIFAR-10": { h: 32, w: 32, c: 3, blocks: 3, steps: 32, hidden: 512 },
  "Paper, CelebA-HQ": { h: 256, w: 256, c: 3, blocks: 6, steps: 32, hidden: 512 },
};

const FITS = "This fits together.";
const WITHOUT_STEPS = "Without steps only squeezes and exits are left: within a scale nothing is "
  + "mixed.";
const STALE = "What stands below is the last Glow that fitted.";

// Builds the part; own is the architecture of the page's model.
export function design(own) {
  const inputs = Object.fromEntries(FIELDS.map(([name, what]) => [name, field(name, what)]));
  const update = oncePerFrame(() => show(inputs));
  byId("fields").append(...Object.values(inputs).map(({ label }) => label));
  byId("presets").append(...Object.entries(PRESETS).map(([name, preset]) =>
    el("button", { type: "button", onclick: () => { fill(inputs, preset ?? own); show(inputs); } },
      name)));
  byId("form").addEventListener("submit", (event) => event.preventDefault());
  byId("form").addEventListener("input", update);
  fill(inputs, own);
  show(inputs);
}

function field(name, what) {
  const long = name === "fractions", input = el("input", { id: `design-${name}`, name,
    autocomplete: "off", ...(long ? { type: "text", placeholder: "0.5, \u2026, 0.5, 0",
      "aria-describedby": "problem" } : { type: "number", min: name === "steps" ? 0 : 1, step: 1,
      inputmode: "numeric", "aria-describedby": "problem" }) });
  return { input, label: el("label", { class: long ? "field long" : "field" },
    el("span", {}, what), input) };
}

function fill(inputs, { batch = 32, fractions = null, ...sizes }) {
  for (const [name, value] of Object.entries({ ...sizes, batch })) inputs[name].input.value = value;
  inputs.fractions.input.value = fractions ? fractions.join(", ") : "";
}

// What stands in the fields; what is not a number is NaN.
function read(inputs) {
  const number = (name) => {
    const text = inputs[name].input.value.trim();
    return text === "" ? NaN : Number(text);
  };
  const text = inputs.fractions.input.value.trim();
  return { ...Object.fromEntries(FIELDS.slice(0, -1).map(([name]) => [name, number(name)])),
    fractions: text === "" ? null : text.split(",").map((part) =>
      (part.trim() === "" ? NaN : Number(part))) };
}

// What is missing or no number is told by what the page calls it.
function requireNumbers({ fractions, ...numbers }, inputs) {
  const missing = FIELDS.filter(([name]) => Number.isNaN(numbers[name]));
  if (missing.length)
    throw new ImpossibleError(`${missing.map(([, what]) => what).join(", ")}: give a whole number.`,
      missing.map(([name]) => name));
  const at = (fractions ?? []).findIndex(Number.isNaN);
  if (at >= 0)
    throw new ImpossibleError("Exit after each block: give a fraction for each, such as 0.5, or "
      + `nothing at all; number ${at + 1} is "${inputs.fractions.input.value.split(",")[at].trim()}".`,
    ["fractions"]);
}

function show(inputs) {
  const given = read(inputs), { batch, ...architecture } = given;
  let wrong = [], words = FITS, more = "";
  try {
    requireNumbers(given, inputs);
    if (!(Number.isInteger(batch) && batch >= 1))
      throw new ImpossibleError("Batch must be a whole number, at least 1.", ["batch"]);
    const counts = countsOf(architecture, batch);
    if (architecture.steps === 0) more = WITHOUT_STEPS;
    byId("totals").replaceChildren(...totals(counts, batch));
    byId("schematic").replaceChildren(schematic(architecture, counts));
    byId("shapes").replaceChildren(...shapesTable(architecture, counts));
  } catch (error) {
    if (!(error instanceof ImpossibleError)) throw error;
    [wrong, words, more] = [error.which, error.message, STALE];
  }
  byId("problem").classList.toggle("wrong", wrong.length > 0);
  byId("problem-words").textContent = words;
  byId("problem-more").textContent = more;
  byId("designed").classList.toggle("stale", wrong.length > 0);
  for (const [name, { input }] of Object.entries(inputs))
    input.setAttribute("aria-invalid", wrong.includes(name));
}

const totals = ({ parameters, flops, bytes }, batch) => [
  ["Parameters", whole(parameters), "trainable numbers", parameters],
  ["Work", flopsText(flops), "for an image, one direction", flops],
  ["Weights", bytesText(bytes.weights), "float32", bytes.weights],
  ["Activations, stored", bytesText(bytes.stored), `for a gradient, batch of ${whole(batch)}`,
    bytes.stored],
  ["Activations, reversible", bytesText(bytes.reversible), "steps rebuilt on the way back",
    bytes.reversible],
].map(([what, text, more, exact]) => el("div", {}, el("dt", {}, what),
  el("dd", { "data-exact": exact, title: whole(exact) }, text, el("small", {}, more))));
