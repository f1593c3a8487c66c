// The page's colours as numbers, for canvases; they follow the theme.

let known = {};

// Forget what was read, when the theme changes.
export const forgetColours = () => { known = {}; };

// [r, g, b] of a custom property such as "--minus".
export function colour(name) {
  if (!known[name]) {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    known[name] = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
    probe.remove();
  }
  return known[name];
}

// A value in -1..1 between the colours of minus, zero and plus.
export function diverging(value) {
  const share = Math.min(1, Math.abs(value)), far = colour(value < 0 ? "--minus" : "--plus");
  const rgb = colour("--zero").map((from, k) => Math.round(from + (far[k] - from) * share));
  return `rgb(${rgb.join()})`;
}
