// A Glow from the bytes of a model file, as refglow's `save` writes it.
import { glowOf } from "./glow.mjs";
import { nested, readSafetensors } from "./safetensors.mjs";

export function modelOf(bytes) {
  const { arrays, metadata } = readSafetensors(bytes);
  const { output_shape: [h, w, c], num_glow_blocks: blocks, num_steps_per_block: steps,
    grab_after_block: fractions } = JSON.parse(metadata["refglow.glow"]);
  return glowOf({ h, w, c, blocks, steps, fractions }, nested(arrays));
}
