// The second part: the image on its way to the latents, one layer at a time.
import { inverse } from "../glow.mjs";
import { byId, el, shapeText, signed } from "./elements.mjs";
import { KINDS, layerMap } from "./layer_map.mjs";
import { panelOf } from "./layer_panels.mjs";
import { drawImage } from "./pictures.mjs";
import { transport } from "./transport.mjs";

// Builds the part; returns {see(x), redraw}.
export function watch({ glow, range }) {
  const count = glow.blocks.reduce((sum, { layers }) => sum + layers.length, 0);
  let trace = [], closePanel = () => {}, latest = null, shown = null, isInSight = true;

  const moving = transport(count, (now) => {
    map.show(now);
    tell(trace[now], `${now + 1} of ${count}`);
    closePanel();
    closePanel = showPanel(trace[now]);
  });
  const map = layerMap(glow.blocks, moving.go);

  // What is out of sight waits: while the latents are dragged, there is enough to do.
  const see = (x) => {
    latest = x;
    if (!isInSight) return;
    shown = x;
    drawImage(byId("watched"), x, range);
    trace = traceOf(glow, x);
    moving.go(moving.now());
  };
  new IntersectionObserver(([entry]) => {
    isInSight = entry.isIntersecting;
    if (isInSight && latest !== shown) see(latest);
  }).observe(byId("watch"));
  return { see, redraw: () => { if (latest) see(latest); } };
}

// Of every layer {layer, input, found, sum}, sum the log-det up to and with it.
function traceOf(glow, x) {
  const trace = [];
  let sum = 0;
  inverse(glow, x, (layer, input, found) => {
    sum += found.logDet;
    trace.push({ layer, input, found, sum });
  });
  return trace;
}

function tell({ layer, input, found, sum }, place) {
  byId("layer").setAttribute("aria-valuetext", `${layer.name}, ${place}`);
  byId("layer-title").replaceChildren(
    el("em", { "--kind": `var(--${layer.kind})` }, KINDS[layer.kind]), ` ${layer.name}`);
  byId("layer-sums").textContent = `${shapeText(input.h, input.w, input.c)}, log-det `
    + `${signed(found.logDet)}, so far ${signed(sum)} nats`;
}

// Returns what ends the panel's movement. If a control in it has the focus, the one in its place
// gets it.
function showPanel({ layer, input, found }) {
  const { words, figures, close } = panelOf(layer, input, found), panel = byId("layer-panel");
  const controls = () => [...panel.querySelectorAll("button, input")];
  const focused = controls().indexOf(document.activeElement);
  byId("layer-words").textContent = words;
  panel.replaceChildren(...figures);
  controls()[focused]?.focus();
  return close;
}
