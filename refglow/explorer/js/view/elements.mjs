// Making elements, and writing numbers for people.

export const byId = (id) => document.getElementById(id);

function made(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// <name ...attributes>children; "onclick" takes a function, "--own" sets a custom property.
export const el = (name, attributes = {}, ...children) =>
  made(document.createElement(name), attributes, children);

export const svg = (name, attributes = {}, ...children) =>
  made(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

// 1234567 -> "1,234,567"
export const whole = (value) => value.toLocaleString("en-US");

// 1, "step" -> "1 step"
export const counted = (count, what) => `${whole(count)} ${what}${count === 1 ? "" : "s"}`;

const short = (value, base, units) => {
  let power = 0;
  while (value >= base && power < units.length - 1) { value /= base; power++; }
  const digits = power === 0 ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0;
  return `${value.toFixed(digits)} ${units[power]}`.trim();
};

export const bytesText = (value) =>
  short(value, 1024, ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]);
export const flopsText = (value) =>
  short(value, 1000, ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"]);
export const shapeText = (...sizes) => sizes.join(" \u00d7 ");
export const signed = (value, digits = 2) =>
  (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(digits);
export const minus = (value, digits = 2) => (value < 0 ? "\u2212" : "")
  + Math.abs(value).toFixed(digits);

const RAISED = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079";

// 1.7e-15 -> "2 \u00d7 10\u207b\u00b9\u2075"
export function scientific(value) {
  const [digit, power] = value.toExponential(0).split("e");
  const raised = power.replace("+", "").replace("-", "\u207b").replace(/\d/g, (d) => RAISED[d]);
  return `${digit} \u00d7 10${raised}`;
}

// Calls work once per frame however often it is asked to.
export function oncePerFrame(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; work(); });
  };
}
