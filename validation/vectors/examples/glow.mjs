// A Glow in plain JavaScript, and how it is judged against refglow's golden vectors.
//
//     refglow vectors export DIR
//     node glow.mjs DIR                     writes DIR/results/NAME.safetensors
//     refglow validate --results DIR        judges them
//
// Computes forward, inverse and log-dets in float64 of the operations at the end of this file, and
// leaves out the others. Images are {n, h, w, c, data}: n h w c numbers, channels fastest.
import { mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

// ---- files ---------------------------------------------------------------------------------------

// The arrays of a safetensors file by name: {shape, data}; eight bytes of length, a JSON header that
// says where each array is, then their bytes.
function readSafetensors(path) {
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const arrays = {};
  const { __metadata__: _, ...header } = JSON.parse(bytes.subarray(8, start).toString("utf8"));
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(header)) {
    const { buffer } = Uint8Array.from(bytes.subarray(start + from, start + to));  // aligned
    const kinds = { F64: Float64Array, F32: Float32Array, I32: Int32Array, I64: BigInt64Array,
      BOOL: Uint8Array };
    arrays[name] = { shape, data: Array.from(new kinds[dtype](buffer), Number) };
  }
  return arrays;
}

function writeSafetensors(path, arrays) {
  const header = {}, parts = [];
  let end = 0;
  for (const [name, { shape, data }] of Object.entries(arrays)) {
    const numbers = Float64Array.from(data);
    header[name] = { dtype: "F64", shape, data_offsets: [end, end + numbers.byteLength] };
    end += numbers.byteLength;
    parts.push(Buffer.from(numbers.buffer));
  }
  let text = JSON.stringify(header);
  text += " ".repeat((8 - Buffer.byteLength(text) % 8) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  writeFileSync(path, Buffer.concat([length, Buffer.from(text), ...parts]));
}

// Arrays that are not in the file: number k of stream `seed`, times 2^exponent.
function generated({ seed, exponent }, shape) {
  const mask = (1n << 64n) - 1n;
  const mix = (z) => {
    z = ((z ^ (z >> 30n)) * 0xBF58476D1CE4E5B9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94D049BB133111EBn) & mask;
    return z ^ (z >> 31n);
  };
  const first = mix(BigInt(seed)), count = shape.reduce((a, b) => a * b, 1);
  const data = Array.from({ length: count }, (_, k) => {
    const n = Number(mix((first + BigInt(k + 1) * 0x9E3779B97F4A7C15n) & mask) >> 40n);
    return (2 * n + 1 - 2 ** 24) / 2 ** 24 * 2 ** exponent;
  });
  return { shape, data };
}

// ---- images --------------------------------------------------------------------------------------

const image = (n, h, w, c, data) => ({ n, h, w, c, data: data ?? new Float64Array(n * h * w * c) });

// Channels from..to of an image.
function channels(x, from, to) {
  const y = image(x.n, x.h, x.w, to - from);
  for (let pixel = 0; pixel < x.n * x.h * x.w; pixel++)
    for (let k = from; k < to; k++) y.data[pixel * y.c + k - from] = x.data[pixel * x.c + k];
  return y;
}

function joined(...parts) {
  const c = parts.reduce((sum, part) => sum + part.c, 0), { n, h, w } = parts[0];
  const y = image(n, h, w, c);
  let at = 0;
  for (const part of parts) {
    for (let pixel = 0; pixel < n * h * w; pixel++)
      for (let k = 0; k < part.c; k++) y.data[pixel * c + at + k] = part.data[pixel * part.c + k];
    at += part.c;
  }
  return y;
}

// b x b tiles of pixels become channels, each channel's tile in reading order; or back.
function squeeze(x, b, undo = false) {
  const [h, w, c] = undo ? [x.h, x.w, x.c / (b * b)] : [x.h / b, x.w / b, x.c];
  const y = undo ? image(x.n, h * b, w * b, c) : image(x.n, h, w, c * b * b);
  for (let n = 0; n < x.n; n++) for (let i = 0; i < h; i++) for (let j = 0; j < w; j++)
    for (let k = 0; k < c; k++) for (let p = 0; p < b; p++) for (let q = 0; q < b; q++) {
      const fine = ((n * h * b + i * b + p) * w * b + j * b + q) * c + k;
      const coarse = ((n * h + i) * w + j) * c * b * b + (k * b + p) * b + q;
      if (undo) y.data[fine] = x.data[coarse]; else y.data[coarse] = x.data[fine];
    }
  return y;
}

// ---- the parts of a step: each returns the image and the log-det of every example ----------------

const filled = (count, value) => new Float64Array(count).fill(value);
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const logSigmoid = (x) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));

function actnorm(x, { shift, log_scale: logScale }, forward) {
  const y = image(x.n, x.h, x.w, x.c);
  y.data.forEach((_, index) => {
    const k = index % x.c;
    y.data[index] = forward ? x.data[index] * Math.exp(-logScale.data[k]) - shift.data[k]
      : (x.data[index] + shift.data[k]) * Math.exp(logScale.data[k]);
  });
  const total = x.h * x.w * sum(logScale.data);
  return [y, filled(x.n, forward ? -total : total)];
}

// W = P L U in every pixel: L and U packed in lower_upper, (P v)[permutation[i]] = v[i].
function matvec(x, { lower_upper: { data: lu }, permutation: { data: p } }, forward) {
  const y = image(x.n, x.h, x.w, x.c), c = x.c;
  for (let pixel = 0; pixel < x.n * x.h * x.w; pixel++) {
    const v = Array.from({ length: c }, (_, k) => x.data[pixel * c + (forward ? k : p[k])]);
    if (forward) {
      for (let i = 0; i < c; i++) {  // U v: row i needs v[i] and later ones only
        v[i] *= lu[i * c + i];
        for (let j = i + 1; j < c; j++) v[i] += lu[i * c + j] * v[j];
      }
      for (let i = c - 1; i >= 0; i--) for (let j = 0; j < i; j++) v[i] += lu[i * c + j] * v[j];
    } else {
      for (let i = 0; i < c; i++) for (let j = 0; j < i; j++) v[i] -= lu[i * c + j] * v[j];
      for (let i = c - 1; i >= 0; i--) {
        for (let j = i + 1; j < c; j++) v[i] -= lu[i * c + j] * v[j];
        v[i] /= lu[i * c + i];
      }
    }
    for (let k = 0; k < c; k++) y.data[pixel * c + (forward ? p[k] : k)] = v[k];
  }
  let logDet = 0;
  for (let k = 0; k < c; k++) logDet += Math.log(Math.abs(lu[k * c + k]));
  return [y, filled(x.n, (forward ? 1 : -1) * x.h * x.w * logDet)];
}

// x s + t, s = sigmoid(r + 2) or exp(r + 2); r is an array of numbers, or one image.
function affine(x, r, t, exponential, forward) {
  const y = image(x.n, x.h, x.w, x.c), logDet = filled(x.n, 0), event = x.h * x.w * x.c;
  y.data.forEach((_, index) => {
    const logS = exponential ? r.data[index] + 2 : logSigmoid(r.data[index] + 2);
    const s = Math.exp(logS), shift = t.data[index];
    y.data[index] = forward ? x.data[index] * s + shift : (x.data[index] - shift) / s;
    logDet[Math.floor(index / event)] += forward ? logS : -logS;
  });
  return [y, logDet];
}

// ---- networks ------------------------------------------------------------------------------------

function conv2d(x, { kernel: { shape: [kh, kw, inputs, outputs], data: kernel }, bias }, valid) {
  const [ph, pw] = valid ? [0, 0] : [(kh - 1) / 2, (kw - 1) / 2];
  const y = image(x.n, x.h + 2 * ph - kh + 1, x.w + 2 * pw - kw + 1, outputs);
  for (let n = 0; n < x.n; n++) for (let i = 0; i < y.h; i++) for (let j = 0; j < y.w; j++) {
    const at = ((n * y.h + i) * y.w + j) * outputs;
    for (let o = 0; o < outputs; o++) y.data[at + o] = bias.data[o];
    for (let a = 0; a < kh; a++) for (let b = 0; b < kw; b++) {
      const row = i + a - ph, column = j + b - pw;
      if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
      for (let k = 0; k < inputs; k++) {
        const value = x.data[((n * x.h + row) * x.w + column) * inputs + k];
        const from = ((a * kw + b) * inputs + k) * outputs;
        for (let o = 0; o < outputs; o++) y.data[at + o] += value * kernel[from + o];
      }
    }
  }
  return y;
}

const relu = (x) => ({ ...x, data: x.data.map((value) => Math.max(value, 0)) });

// conv1, relu, conv2, relu, ...: as many layers as there are parameters.
function network(x, params) {
  let y = conv2d(x, params.conv1);
  for (let k = 2; params[`conv${k}`]; k++) y = conv2d(relu(y), params[`conv${k}`]);
  return y;
}

// The first `deciding` channels decide how the next `mapped` ones are scaled and shifted.
function coupling(x, deciding, mapped, params, exponential, forward) {
  const a = channels(x, 0, deciding), b = channels(x, deciding, deciding + mapped);
  const output = network(a, params), additive = output.c === mapped;
  const t = additive ? output : channels(output, mapped, 2 * mapped);
  let y, logDet;
  if (additive) {
    y = { ...b, data: b.data.map((value, k) => value + (forward ? t.data[k] : -t.data[k])) };
    logDet = filled(x.n, 0);
  } else [y, logDet] = affine(b, channels(output, 0, mapped), t, exponential, forward);
  return [joined(a, y, channels(x, deciding + mapped, x.c)), logDet];
}

// ---- compositions --------------------------------------------------------------------------------

// Applies maps one after the other and adds up their log-dets.
function composed(x, maps) {
  const total = filled(x.n, 0);
  for (const map of maps) {
    const [y, logDet] = map(x);
    logDet.forEach((value, k) => { total[k] += value; });
    x = y;
  }
  return [x, total];
}

const still = (move) => (x) => [move(x), filled(x.n, 0)];

// On the way to the latents (inverse) a step is ActNorm, 1x1 convolution, coupling; last step first.
function glowBlock(x, steps, params, forward) {
  const half = Math.floor(x.c / 2), maps = [];
  for (let j = steps - 1; j >= 0; j--) {
    const step = params[`step${j}`];
    if (step.actnorm) maps.push((v) => actnorm(v, step.actnorm, forward));
    maps.push((v) => matvec(v, step.conv, !forward));
    maps.push((v) => coupling(v, half, v.c - half, step.coupling, false, !forward));
  }
  return composed(x, forward ? maps.reverse() : maps);
}

function exit(x, [leave, grab], params, forward) {
  return leave && grab ? coupling(x, leave, grab, params, true, forward) : [x, filled(x.n, 0)];
}

function glow(x, { output_shape: [h, w, c], num_glow_blocks: blocks, num_steps_per_block: steps,
  grab_after_block: given }, params, forward) {
  const shares = given ?? [...Array(blocks - 1).fill(0.5), 0], maps = [];
  let passed = 0, size = c;
  for (let i = blocks - 1; i >= 0; i--) {  // from the image to the latents
    size *= 4;
    const active = size - passed, grab = Math.floor(shares[blocks - 1 - i] * active);
    const left = passed, leave = active - grab, own = params[`block${i}`];
    maps.push(still((v) => squeeze(v, 2, forward)));
    maps.push((v) => {
      const [y, logDet] = glowBlock(channels(v, 0, leave + grab), steps, own, forward);
      return [joined(y, channels(v, leave + grab, leave + grab + left)), logDet];
    });
    maps.push((v) => exit(v, [leave, grab], own.exit ?? {}, !forward));
    passed = 4 * (passed + grab);
  }
  const side = 2 ** blocks;
  if (!forward) return composed(x, maps);
  return composed(image(x.n, h / side, w / side, size, x.data), maps.reverse());
}

// ---- vectors -------------------------------------------------------------------------------------

// "block0.step1.conv.lower_upper" -> nested objects
function nested(arrays) {
  const root = {};
  for (const [name, array] of Object.entries(arrays)) {
    const parts = name.split("."), last = parts.pop();
    parts.reduce((at, part) => (at[part] ??= {}), root)[last] = array;
  }
  return root;
}

const OPERATIONS = {
  Squeeze: (x, { block_size: b }, params, forward) => [squeeze(x, b, !forward), filled(x.n, 0)],
  ActivationNormalization: (x, _, params, forward) => actnorm(x, params, forward),
  ScaleMatvecLU: (x, _, params, forward) => matvec(x, params, forward),
  OneByOneConv: (x, _, params, forward) => matvec(x, params, forward),
  Conv2D: (x, { padding }, params) => [conv2d(x, params, padding === "valid"), null],
  CouplingNetwork: (x, _, params) => [network(x, params), null],
  ExitNetwork: (x, _, params) => [network(x, params), null],
  GlowBlock: (x, { num_steps: steps }, params, forward) => glowBlock(x, steps, params, forward),
  ExitBijector: (x, { split }, params, forward) => exit(x, split, params, forward),
  Glow: glow,
};

function evaluate(folder, manifest) {
  const arrays = readSafetensors(join(folder, "vectors", manifest.file)), params = {}, results = {};
  const given = (name) => {
    const what = manifest.inputs[name];
    return what.generated ? generated(what.generated, what.shape) : arrays[`inputs/${name}`];
  };
  for (const name of Object.keys(manifest.inputs))
    if (name.startsWith("params/")) params[name.slice(7)] = given(name);
  for (const direction of manifest.directions) {
    const { shape, data } = given(`${direction}/input`);
    const event = shape.slice(shape.length - (direction === "forward" || manifest.operation !== "Glow"
      ? manifest.event_ndims : 3));
    const [h, w, c] = [1, 1, ...event].slice(-3);
    const n = shape.slice(0, shape.length - event.length).reduce((a, b) => a * b, 1);
    const [y, logDet] = OPERATIONS[manifest.operation](
      image(n, h, w, c, Float64Array.from(data)), manifest.arguments, nested(params),
      direction === "forward");
    results[`${direction}/value`] = { shape: manifest.results[`${direction}/value`].shape,
      data: y.data };
    if (logDet) results[`${direction}/log_det`] = {
      shape: manifest.results[`${direction}/log_det`].shape, data: logDet };
  }
  return results;
}

function main(folder) {
  mkdirSync(join(folder, "results"), { recursive: true });
  let done = 0;
  for (const file of readdirSync(join(folder, "vectors")).filter((name) => name.endsWith(".json"))) {
    const manifest = JSON.parse(readFileSync(join(folder, "vectors", file), "utf8"));
    if (!OPERATIONS[manifest.operation] || manifest.name === "glow-cifar") continue;  // minutes
    writeSafetensors(join(folder, "results", manifest.file), evaluate(folder, manifest));
    done++;
  }
  console.log(`${done} vectors evaluated; their results are in ${join(folder, "results")}.`);
}

export { actnorm, channels, coupling, filled, glow, image, matvec, nested, readSafetensors, squeeze,
  sum, writeSafetensors };

if (realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) main(process.argv[2]);
