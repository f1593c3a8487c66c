// What a layer does, in words and pictures: {words, figures, close} of a layer, its input and what
// it found; close ends what moves.
import { channels } from "../image.mjs";
import { matrixOf } from "../matvec_lu.mjs";
import { channelBars } from "./bars.mjs";
import { counted, el } from "./elements.mjs";
import { drawMatrix, drawTiles, largest } from "./pictures.mjs";
import { squeezeFigure } from "./squeeze_figure.mjs";

const SIDE = 196;  // pixels

const close = () => {};

export const panelOf = (layer, input, found) => PANELS[layer.kind](layer, input, found);

// A tensor's channels as tiles, with a caption that says how large the strongest colour is.
function tiles(what, x, limit = largest(x.data) || 1) {
  const canvas = el("canvas", { role: "img", "aria-label": `${what}, ${counted(x.c, "channel")}` });
  drawTiles(canvas, x, limit, SIDE, SIDE);
  return el("figure", {}, el("figcaption", {}, el("b", {}, what),
    ` up to \u00b1${limit.toFixed(2)}`), canvas);
}

const PANELS = {
  squeeze: (layer, input) => {
    const { figure, stop } = squeezeFigure(input);
    return { close: stop, figures: [figure],
      words: `Every 2 \u00d7 2 tile of pixels becomes one pixel with four times the channels. `
        + "Follow the colours: each corner of the tiles goes to a channel of its own. Numbers only "
        + "move, so the log-det is 0." };
  },

  actnorm: (layer, input, { y }) => ({ close, figures: [tiles("before", input),
    channelBars("shift, by channel", layer.params.shift.data),
    channelBars("log scale, by channel", layer.params.log_scale.data), tiles("after", y)],
  words: "Each channel is shifted and scaled, all pixels alike: (x + shift) exp(log_scale). The "
    + "log-det is h w times the sum of the log scales." }),

  conv: (layer, input, { y }) => ({ close, words: "Every pixel's channels are multiplied by one "
    + "matrix W = P L U, kept in factors so that its inverse is two substitutions and its log-det "
    + "h w times the sum of log|U_kk|.",
  figures: [tiles("before", input), matrixFigure(layer.params, input.c), onePixel(input, y),
    tiles("after", y)] }),

  coupling: (layer, input, found) => coupled(layer, input, found,
    "one half decides, the other is mapped", "s = sigmoid(r + 2), below 1"),

  exit: (layer, input, found) => coupled(layer, input, found,
    "what stays decides how what exits is normalised; the mapped channels are latents now",
    "s = exp(r + 2)"),
};

function coupled({ split: [deciding, mapped] }, input, { y, logScale, shift }, story, scale) {
  const to = deciding + mapped, additive = logScale.data.every((value) => value === 0);
  const becomes = additive ? "x + t" : "s x + t";
  return { close, figures: [
    tiles(`1. Channels 1\u2013${deciding} decide`, channels(input, 0, deciding)),
    ...(additive ? [] : [tiles("2. network: log s", logScale)]), tiles("2. network: t", shift),
    tiles(`3. Channels ${deciding + 1}\u2013${to} come as x`, channels(input, deciding, to)),
    tiles(`4. and go as ${becomes}`, channels(y, deciding, to))],
  words: `Coupling: ${story}. A network reads the deciding channels and gives `
    + `${additive ? "t" : "[r | t]"}; the mapped ones become ${becomes}`
    + `${additive ? "" : `, with ${scale}`}. To undo it, run the same network again: the log-det is `
    + `${additive ? "0" : "the sum of log s"}.` };
}

function matrixFigure(params, size) {
  const matrix = matrixOf(params), canvas = el("canvas", { role: "img",
    "aria-label": `The matrix W, ${size} by ${size}` });
  drawMatrix(canvas, matrix, size, SIDE);
  return el("figure", {}, el("figcaption", {}, el("b", {}, `W, ${size} \u00d7 ${size}`),
    ` up to \u00b1${largest(matrix).toFixed(2)}`), canvas);
}

// One pixel's channels before and after, a pixel that a slider chooses.
function onePixel(input, y) {
  const body = el("div", {}), count = input.h * input.w;
  const pick = (pixel) => {
    const pair = [input, y].map((x) => x.data.subarray(pixel * x.c, (pixel + 1) * x.c));
    body.replaceChildren(channelBars(`in: pixel (${Math.floor(pixel / input.w)}, `
      + `${pixel % input.w})`, pair[0]), channelBars("out: W times that", pair[1]));
  };
  pick(0);
  const slider = el("input", { type: "range", min: 0, max: count - 1, value: 0, step: 1,
    "aria-label": "Pixel", oninput: (event) => pick(Number(event.target.value)) });
  return el("figure", {}, ...(count > 1 ? [slider] : []), body);
}

