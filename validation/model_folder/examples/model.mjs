// A Glow in plain JavaScript, and how it is judged against a model of refglow's.
//
//     refglow validate --export DIR         writes the model, and this file with glow.mjs
//     node DIR/examples/model.mjs DIR       writes DIR/results/javascript.safetensors
//     refglow validate --results DIR        judges it, layer by layer
//
// Computes, in float64, all but gradients: in both directions with glow.mjs's whole Glow, and once
// more layer by layer.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { actnorm, channels, coupling, filled, glow, image, matvec, nested, readSafetensors, squeeze,
  sum, writeSafetensors } from "./glow.mjs";

// The layers from the image to the latents: calls each(name, output, log-det).
function layers(x, { blockwise_splits: splits, num_steps_per_block: steps }, params, each) {
  const layer = (name, [y, logDet]) => { each(name, y, logDet); x = y; };
  for (let i = splits.length - 1; i >= 0; i--) {
    const [leave, grab] = splits[i], block = params[`block${i}`] ?? {};
    layer(`block${i}.squeeze`, [squeeze(x, 2), filled(x.n, 0)]);
    for (let j = steps - 1; j >= 0; j--) {
      const at = `block${i}.step${j}`, step = block[`step${j}`], half = Math.floor(x.c / 2);
      if (step.actnorm) layer(`${at}.actnorm`, actnorm(x, step.actnorm, false));
      layer(`${at}.conv`, matvec(x, step.conv, true));
      layer(`${at}.coupling`, coupling(x, half, x.c - half, step.coupling, false, true));
    }
    if (leave && grab) layer(`block${i}.exit`, coupling(x, leave, grab, block.exit, true, true));
    x = channels(x, 0, leave);
  }
}

// ActNorms' parameters after a start from x: each layer's own start changes what the next ones get.
function initialized(x, architecture, params) {
  const started = structuredClone(params), found = {};
  let input = x;
  layers(x, architecture, started, (name, output) => {
    const actnorms = /^(block\d+)\.(step\d+)\.actnorm$/.exec(name);
    if (actnorms) {
      const own = started[actnorms[1]][actnorms[2]].actnorm, count = input.n * input.h * input.w;
      for (let k = 0; k < input.c; k++) {
        const values = input.data.filter((_, index) => index % input.c === k);
        const mean = sum(values) / count;
        const variance = sum(values.map((value) => (value - mean) ** 2)) / count;
        own.shift.data[k] = -mean;
        own.log_scale.data[k] = -Math.log(Math.sqrt(variance) + 10 * 2 ** -52);
      }
      for (const part of ["shift", "log_scale"]) found[`initialize/${name}.${part}`] = own[part];
      output.data.set(actnorm(input, own, false)[0].data);  // what the next layer gets
    }
    input = output;
  });
  return found;
}

const shaped = ({ n, h, w, c, data }) => ({ shape: [n, h, w, c], data });
const each = (data) => ({ shape: [data.length], data });
const flat = ({ n, data }) => ({ shape: [n, data.length / n], data });

function results({ architecture }, params, arrays) {
  const { x: { shape: [n, h, w, c], data }, z: { shape: [count], data: latents } } = arrays;
  const x = image(n, h, w, c, Float64Array.from(data)), size = h * w * c;
  const back = (m, z) => glow(image(m, 1, 1, size, Float64Array.from(z)), architecture, params, true);
  const [z, ildj] = glow(x, architecture, params, false), [y, fldj] = back(count, latents);
  const [again, fldjAgain] = back(n, z.data);
  const logProb = ildj.map((logDet, k) => logDet - size / 2 * Math.log(2 * Math.PI)
    - sum(z.data.slice(k * size, (k + 1) * size).map((value) => value ** 2)) / 2);
  const found = {
    "inverse": flat(z), "inverse_log_det_jacobian": each(ildj),
    "forward": shaped(y), "forward_log_det_jacobian": each(fldj),
    "round_trip/forward": shaped(again), "round_trip/forward_log_det_jacobian": each(fldjAgain),
    "log_prob": each(logProb),
    "bits_per_dim": each(logProb.map((value) => 8 - value / (size * Math.LN2))),
    ...initialized(x, architecture, params) };
  layers(x, architecture, params, (name, output, logDet) => {
    found[`layers/${name}/output`] = shaped(output);
    found[`layers/${name}/log_det`] = each(logDet);
  });
  return found;
}

const folder = process.argv[2];
const manifest = JSON.parse(readFileSync(join(folder, "model.json"), "utf8"));
const params = nested(readSafetensors(join(folder, "model.safetensors")));
const found = results(manifest, params, readSafetensors(join(folder, "inputs.safetensors")));
mkdirSync(join(folder, "results"), { recursive: true });
writeSafetensors(join(folder, "results", "javascript.safetensors"), found);
console.log(`${Object.keys(found).length} results are in ${join(folder, "results")}.`);
