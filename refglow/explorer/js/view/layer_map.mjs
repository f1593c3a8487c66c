// All layers as a row of marks, block by block, in the colours of their kinds.
import { byId, el } from "./elements.mjs";

export const KINDS = { squeeze: "Squeeze", actnorm: "ActNorm", conv: "1x1 convolution",
  coupling: "Coupling", exit: "Exit" };

// Calls go(index) when a mark is clicked. Returns {show(index)}.
export function layerMap(blocks, go) {
  const marks = [];
  const markOf = (layer) => {
    const place = marks.length, mark = el("i", { title: layer.name,
      "--kind": `var(--${layer.kind})`, onclick: () => go(place) });
    marks.push(mark);
    return mark;
  };
  byId("map").append(...blocks.map(({ layers }, k) => el("span", { "--n": layers.length,
    "--own": `var(--scale${(blocks.length - 1 - k) % 4})` }, ...layers.map(markOf))));
  byId("legend").append(...Object.entries(KINDS).map(([kind, what]) =>
    el("span", { class: "key", "--kind": `var(--${kind})` }, what)));
  return { show: (now) => marks.forEach((mark, k) => {
    mark.className = k === now ? "now" : k < now ? "done" : "";
  }) };
}
