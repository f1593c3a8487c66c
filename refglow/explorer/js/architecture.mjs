// What fits together and what does not, in refglow's words (refglow/bijectors/glow_shapes.py and
// glow_block.py), and the shapes of every stage. An architecture is {h, w, c, blocks, steps, hidden, fractions}, with
// fractions null for half, ..., half, none.
import { floatText, numberText } from "./python_text.mjs";

export class ImpossibleError extends Error {
  // which: the names of the architecture's entries that are at fault.
  constructor(message, which) {
    super(message);
    this.which = which;
  }
}

export const MOST_NUMBERS = 2 ** 31 - 1;  // in one image, as refglow's model files take

const WRITTEN_OUT = 64;  // the largest power of two that a message writes out

// Raises ImpossibleError unless the whole architecture is possible, and small enough to count.
export function check(architecture) {
  const { h, w, c, blocks, steps, hidden } = architecture;
  checkShape(h, w, c);
  checkCount(blocks, "num_glow_blocks", 1, "blocks");
  checkHalving("height", h, blocks, "h");
  checkHalving("width", w, blocks, "w");
  splitsOf(architecture);
  checkCount(steps, "glow_block: num_steps", 0, "steps");
  checkCount(hidden, "num_hidden", 1, "hidden");
  if (h * w * c > MOST_NUMBERS)
    throw new ImpossibleError(`An image of ${h} x ${w} x ${c} has ${h * w * c} numbers; a model `
      + `file, and this page, take at most ${MOST_NUMBERS}.`, ["h", "w", "c"]);
}

// [leave, grab, pass] of each block, the coarsest first.
export function splitsOf({ c, blocks, fractions }) {
  const given = fractions ?? [...Array(blocks - 1).fill(0.5), 0];
  if (given.length !== blocks)
    throw new ImpossibleError(`grab_after_block has ${given.length} fractions; there are ${blocks} `
      + "blocks, and each needs one.", ["fractions", "blocks"]);
  const splits = [];
  let passed = 0;
  given.forEach((fraction, k) => {
    const remaining = 4 ** (k + 1) * c - passed;
    checkFraction(k, fraction, remaining, k === blocks - 1);
    const grab = Math.trunc(remaining * fraction);
    splits.push([remaining - grab, grab, passed]);
    passed = 4 * (passed + grab);
  });
  return splits.reverse();
}

// Of each block, the finest first: {name, h, w, leave, grab, pass, channels}, channels those that
// its steps work on.
export function stagesOf(architecture) {
  const { h, w, blocks } = architecture;
  return splitsOf(architecture).map(([leave, grab, pass], i) => {
    const side = 2 ** (blocks - i);
    return { name: `block${i}`, h: h / side, w: w / side, leave, grab, pass,
      channels: leave + grab };
  }).reverse();
}

function checkShape(h, w, c) {
  if ([h, w, c].every((size) => Number.isInteger(size) && size >= 1)) return;
  throw new ImpossibleError("output_shape must be three known positive sizes (H, W, C); got "
    + `(${[h, w, c].map(numberText).join(", ")}).`,
  Object.entries({ h, w, c }).filter(([, size]) => !(Number.isInteger(size) && size >= 1))
    .map(([name]) => name));
}

function checkCount(number, what, least, which) {
  if (!Number.isInteger(number) || number < least)
    throw new ImpossibleError(`${what} must be a whole number, at least ${least}; got `
      + `${numberText(number)}.`, [which]);
}

function checkHalving(what, size, blocks, which) {
  if (size % 2 ** blocks === 0) return;
  let fits = 0;
  while (size % 2 ** (fits + 1) === 0) fits++;
  const power = blocks <= WRITTEN_OUT ? `2^${blocks} = ${numberText(2 ** blocks)}` : `2^${blocks}`;
  throw new ImpossibleError(`The image's ${what} ${size} must be divisible by 2^num_glow_blocks = `
    + `${power}, because each block halves it; ${size} allows at most ${fits} block${fits === 1 ? "" : "s"}.`, [which, "blocks"]);
}

function checkFraction(k, fraction, remaining, last) {
  const where = `grab_after_block[${k}] = ${floatText(fraction)} (after block ${k + 1} from the `
    + `image, where ${remaining} channels remain)`;
  const refuse = (why) => { throw new ImpossibleError(`${where} ${why}`, ["fractions"]); };
  if (!(fraction >= 0 && fraction <= 1)) refuse("must be between 0 and 1.");
  const grab = Math.trunc(remaining * fraction);
  if (grab === remaining && !last)
    refuse("takes all channels out and leaves none for the next block; only the last block may do "
      + "that. Use a smaller fraction.");
  if (grab === 0 && fraction > 0)
    refuse("takes less than one channel out. Use 0 for none, or at least "
      + `${(Math.ceil(1e6 / remaining) / 1e6).toFixed(6)}.`);
}
