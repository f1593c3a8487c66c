// The squeeze, as a movie: every number travels from its place in the fine image to its place in
// the coarse one. Colours say which corner of its 2 x 2 tile it comes from.
import { squeezeSource } from "../squeeze.mjs";
import { colour } from "./colours.mjs";
import { counted, el } from "./elements.mjs";
import { movie } from "./movie.mjs";
import { largest, tiling } from "./pictures.mjs";

const CORNERS = ["--scale0", "--scale1", "--scale2", "--scale3"];
const WIDTH = 720, HEIGHT = 300, SECONDS = 3;
const REST = 0.18;  // of the time nothing moves, at the beginning and at the end

// From 0 to 1, slow at both ends; it stays there before 0 and after 1.
function eased(t) {
  const inside = Math.max(0, Math.min(1, t));
  return inside * inside * (3 - 2 * inside);
}

// {figure, stop}: the movie of an image's squeeze.
export function squeezeFigure(x) {
  const canvas = el("canvas", { width: WIDTH, height: HEIGHT, role: "img",
    "aria-label": `${x.h} by ${x.w} pixels with ${counted(x.c, "channel")} become ${x.h / 2} by ${x.w / 2} `
      + `with ${4 * x.c}` });
  const moves = movesOf(x), draw = (t) =>
    drawMoves(canvas, moves, eased((t - REST) / (1 - 2 * REST)));
  const { controls, stop } = movie(draw, SECONDS, "How far the squeeze has gone");
  return { stop, figure: el("figure", { class: "wide squeezing" }, canvas, controls) };
}

// Of each number: {from, to, size}, the colour of its corner, its strength.
function movesOf(x) {
  const fine = gridOf(x.h, x.w, x.c), coarse = gridOf(x.h / 2, x.w / 2, 4 * x.c);
  const limit = largest(x.data) || 1;
  return Array.from(squeezeSource(x.h, x.w, x.c), (source, target) => {
    const pixel = Math.floor(source / x.c), i = Math.floor(pixel / x.w), j = pixel % x.w;
    const to = Math.floor(target / (4 * x.c)), width = x.w / 2;
    return { from: fine(i, j, source % x.c),
      to: coarse(Math.floor(to / width), to % width, target % (4 * x.c)),
      corner: 2 * (i % 2) + j % 2, strength: (x.data[source] / limit + 1) / 2 };
  });
}

// (row, column, channel) -> [left, top, size] in the canvas, channels as tiles.
function gridOf(h, w, c) {
  const gap = 10, { columns, rows, cell: size } = tiling(c, h, w, WIDTH, HEIGHT, gap, Infinity);
  const left = (WIDTH - columns * (w * size + gap) + gap) / 2;
  const top = (HEIGHT - rows * (h * size + gap) + gap) / 2;
  return (i, j, k) => [left + (k % columns) * (w * size + gap) + j * size,
    top + Math.floor(k / columns) * (h * size + gap) + i * size, size];
}

function drawMoves(canvas, moves, t) {
  const context = canvas.getContext("2d"), dark = colour("--zero");
  const corners = CORNERS.map(colour);
  context.clearRect(0, 0, WIDTH, HEIGHT);
  for (const { from, to, corner, strength } of moves) {
    const [left, top, size] = from.map((value, k) => value + (to[k] - value) * t);
    const rgb = dark.map((value, k) =>
      Math.round(value + (corners[corner][k] - value) * (0.12 + 0.88 * strength)));
    context.fillStyle = `rgb(${rgb.join()})`;
    context.fillRect(left + 0.5, top + 0.5, size - 1, size - 1);
  }
}
