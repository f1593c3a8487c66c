// Numbers as bars up and down from a line.
import { counted, el, minus, svg } from "./elements.mjs";
import { largest } from "./pictures.mjs";

const WIDTH = 208, HEIGHT = 90;

// A figure with a bar for each channel.
export function channelBars(what, values) {
  const limit = largest(values) || 1, step = WIDTH / values.length, middle = HEIGHT / 2;
  const bars = Array.from(values, (value, k) => {
    const length = Math.abs(value) / limit * (middle - 3);
    return svg("rect", { class: value < 0 ? "minus" : "plus", x: k * step + step * 0.1,
      y: value < 0 ? middle : middle - length, width: step * 0.8, height: length });
  });
  const written = values.length <= 8 ? `: ${Array.from(values, (v) => minus(v)).join(", ")}` : "";
  return el("figure", {}, el("figcaption", {}, el("b", {}, what),
    ` up to \u00b1${limit.toFixed(2)}`),
  svg("svg", { class: "bars", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none",
    role: "img", "aria-label": `${what}, ${counted(values.length, "channel")}${written}` },
  ...bars, svg("line", { x1: 0, x2: WIDTH, y1: middle, y2: middle })));
}
