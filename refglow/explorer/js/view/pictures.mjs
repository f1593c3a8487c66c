// Images and tensors on canvases.
import { diverging } from "./colours.mjs";

// Draws an image of 1 or 3 channels, x in [-1/2, 1/2): level (x + 1/2) 2^n - 1/2, maxLevel white.
export function drawImage(canvas, x, { nBits, maxLevel }) {
  canvas.width = x.w;
  canvas.height = x.h;
  const context = canvas.getContext("2d"), pixels = context.createImageData(x.w, x.h);
  for (let pixel = 0; pixel < x.h * x.w; pixel++) {
    for (let k = 0; k < 3; k++) {
      const value = x.data[pixel * x.c + (x.c === 3 ? k : 0)];
      pixels.data[4 * pixel + k] = ((value + 0.5) * 2 ** nBits - 0.5) * 255 / maxLevel;
    }
    pixels.data[4 * pixel + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
}

export const largest = (data) => data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

const gapOf = (h, w) => (h * w === 1 ? 1 : 4);

// {columns, rows, cell}: how c tiles of h x w fill a box best, a number taking cell x cell pixels;
// places that stay empty count against a tiling.
export function tiling(c, h, w, width, height, gap = gapOf(h, w), most = 36) {
  let best = { worth: 0 };
  for (let columns = 1; columns <= c; columns++) {
    const rows = Math.ceil(c / columns);
    const cell = Math.min(most, (width - (columns - 1) * gap) / (columns * w),
      (height - (rows - 1) * gap) / (rows * h));
    const worth = cell * c / (rows * columns);
    if (worth >= best.worth * 0.999) best = { columns, rows, cell, worth };
  }
  return best;
}

// Draws every channel as a tile, all within a box; values from -limit to limit.
export function drawTiles(canvas, x, limit, width, height) {
  const best = tiling(x.c, x.h, x.w, width, height), { columns, rows } = best;
  const gap = gapOf(x.h, x.w), cell = Math.max(1, Math.floor(best.cell));
  canvas.width = columns * (x.w * cell + gap) - gap;
  canvas.height = rows * (x.h * cell + gap) - gap;
  const context = canvas.getContext("2d");
  for (let k = 0; k < x.c; k++) {
    const left = (k % columns) * (x.w * cell + gap);
    const top = Math.floor(k / columns) * (x.h * cell + gap);
    for (let i = 0; i < x.h; i++) for (let j = 0; j < x.w; j++) {
      context.fillStyle = diverging(x.data[(i * x.w + j) * x.c + k] / limit);
      context.fillRect(left + j * cell, top + i * cell, cell, cell);
    }
  }
}

// Draws a matrix, row by row.
export function drawMatrix(canvas, matrix, size, width = 240) {
  const cell = Math.max(2, Math.min(28, Math.floor(width / size))), limit = largest(matrix) || 1;
  canvas.width = canvas.height = cell * size;
  const context = canvas.getContext("2d");
  matrix.forEach((value, at) => {
    context.fillStyle = diverging(value / limit);
    context.fillRect((at % size) * cell, Math.floor(at / size) * cell, cell, cell);
  });
}
