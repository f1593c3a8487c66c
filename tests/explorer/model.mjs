// The explorer's arithmetic on a folder of `refglow validate --export`: node model.mjs JS DIR.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { writeSafetensors } from "./files.mjs";

const [from, folder] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(join(from, `${name}.mjs`)));
const { bitsPerDim, logNormal } = await load("density");
const { forward, inverse } = await load("glow");
const { image } = await load("image");
const { mergeLatents, splitLatents } = await load("latents");
const { modelOf } = await load("model");
const { readSafetensors } = await load("safetensors");

const glow = modelOf(readFileSync(join(folder, "model.safetensors")));
const { arrays } = readSafetensors(readFileSync(join(folder, "inputs.safetensors")));
const [h, w, c] = glow.shape, size = h * w * c, found = {};

const put = (name, shape, data) => {
  found[name] ??= { shape: [0, ...shape], data: [] };
  found[name].shape[0]++;
  for (const value of data) found[name].data.push(value);
};
const back = (name, z) => {
  const { x, logDet } = forward(glow, splitLatents(z, glow.shape, glow.splits));
  put(`${name}forward`, [h, w, c], x.data);
  put(`${name}forward_log_det_jacobian`, [], [logDet]);
};

for (let n = 0; n < arrays.x.shape[0]; n++) {
  const x = image(h, w, c, arrays.x.data.slice(n * size, (n + 1) * size));
  const { latents, logDet } = inverse(glow, x, (layer, input, { y, logDet: own }) => {
    put(`layers/${layer.name}/output`, [y.h, y.w, y.c], y.data);
    put(`layers/${layer.name}/log_det`, [], [own]);
  });
  const z = mergeLatents(latents, glow.shape, glow.splits), logProb = logNormal(latents) + logDet;
  put("inverse", [size], z);
  put("inverse_log_det_jacobian", [], [logDet]);
  put("log_prob", [], [logProb]);
  put("bits_per_dim", [], [bitsPerDim(logProb, size, 8)]);
  back("round_trip/", z);
}
for (let n = 0; n < arrays.z.shape[0]; n++) back("", arrays.z.data.slice(n * size, (n + 1) * size));
mkdirSync(join(folder, "results"), { recursive: true });
writeFileSync(join(folder, "results", "javascript.safetensors"), writeSafetensors(found));
