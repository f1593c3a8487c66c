// What a Glow with refglow's default networks has and costs: parameters, floating-point operations,
// bytes. By formulas, as all steps of a block are alike.
import { ImpossibleError, check, stagesOf } from "./architecture.mjs";

const BYTES = 4;  // of a float32
const KERNEL = 9;  // 3 x 3

// Channels [in, out] and taps of the convolutions in a step's coupling network.
export const couplingConvs = ({ channels }, hidden) => {
  const half = Math.floor(channels / 2), mapped = channels - half;
  return [[half, hidden, KERNEL], [hidden, hidden, 1], [hidden, 2 * mapped, KERNEL]];
};

// The same of an exit's; none where nothing is coupled.
export const exitConvs = ({ leave, grab }) => (leave && grab ? [[leave, 2 * grab, KERNEL]] : []);

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const weightsOf = (convs) => sum(convs.map(([from, to, taps]) => taps * from * to + to));
const productsOf = (convs) => sum(convs.map(([from, to, taps]) => taps * from * to));

// Trainable numbers in {step, exit, total} of a block: ActNorm's 2 c, the matrix's c^2, networks.
export function blockParameters(stage, { steps, hidden }) {
  const c = stage.channels;
  const step = 2 * c + c * c + weightsOf(couplingConvs(stage, hidden));
  const exit = weightsOf(exitConvs(stage));
  return { step, exit, total: steps * step + exit };
}

// Operations for one image in one direction, a multiplication with its addition as two; every tap
// of a kernel counts, at the borders too. Not counted: sigmoid, exp, ReLU, log-dets, squeezes.
//
//     ActNorm  2 h w c      1x1 convolution  2 h w c^2      coupling  2 h w mapped + its network
export function blockFlops(stage, { steps, hidden }) {
  const { h, w, channels: c, grab } = stage, mapped = c - Math.floor(c / 2);
  const exits = exitConvs(stage);
  const step = 2 * h * w * (c + c * c + mapped + productsOf(couplingConvs(stage, hidden)));
  const exit = exits.length ? 2 * h * w * (grab + productsOf(exits)) : 0;
  return { step, exit, total: steps * step + exit };
}

// float32 numbers that a gradient needs of one image in a block. Of a step: the inputs of ActNorm,
// 1x1 convolution and coupling, both hidden layers and the network's output. Of an exit: its input
// and its network's output.
export function blockActivations(stage, { steps, hidden }) {
  const { h, w, channels: c, leave, grab } = stage, mapped = c - Math.floor(c / 2);
  const step = h * w * (3 * c + 2 * hidden + 2 * mapped);
  const exit = leave && grab ? h * w * (c + 2 * grab) : 0;
  return { step, exit, total: steps * step + exit };
}

// Everything: {stages: [{..., parameters, flops, activations}], parameters, flops, bytes: {weights,
// stored, reversible}}. "stored" keeps all activations of a batch; "reversible" keeps the result
// and the one step or exit that it is rebuilding.
export function countsOf(architecture, batch = 1) {
  check(architecture);
  const stages = stagesOf(architecture).map((stage) => ({ ...stage,
    parameters: blockParameters(stage, architecture), flops: blockFlops(stage, architecture),
    activations: blockActivations(stage, architecture) }));
  const total = (what) => sum(stages.map((stage) => stage[what].total));
  const { h, w, c, steps } = architecture;
  const largest = Math.max(...stages.map(({ activations: { step, exit } }) =>
    Math.max(steps ? step : 0, exit)));
  const found = { stages, parameters: total("parameters"), flops: total("flops"), bytes: {
    weights: BYTES * total("parameters"),
    stored: BYTES * batch * total("activations"),
    reversible: BYTES * batch * (h * w * c + largest) } };
  requireCountable("parameters", found.parameters);
  requireCountable("operations for an image", found.flops);
  requireCountable("bytes", Math.max(...Object.values(found.bytes)), ["batch"]);
  return found;
}

// Beyond this, float64 has no longer every whole number.
function requireCountable(what, number, more = []) {
  if (!Number.isSafeInteger(number))
    throw new ImpossibleError(`This Glow has ${number.toPrecision(2)} ${what}; the page counts up `
      + `to ${Number.MAX_SAFE_INTEGER}.`, ["h", "w", "c", "steps", "hidden", ...more]);
}
