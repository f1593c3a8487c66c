// A place in latent space: where it started, and what the controls did to each scale.
//
//     z = temperature * start + u * first + v * second
import { bitsPerDim, logNormal } from "../density.mjs";
import { directionsOf } from "../directions.mjs";
import { forward, inverse } from "../glow.mjs";
import { image } from "../image.mjs";

const AT_REST = { temperature: 1, offset: [0, 0] };

export class Place {
  constructor(glow, nBits) {
    this.glow = glow;
    this.nBits = nBits;
  }

  // Start from latents, the controls at rest or as given.
  start(latents, settings = latents.map(() => AT_REST)) {
    this.startLatents = latents;
    this.startSettings = settings;
    this.settings = [...settings];
    this.directions = latents.map(() => null);
    this.update();
  }

  startAtImage(x) { this.start(inverse(this.glow, x).latents); }

  // One scale anew; the others stay where they are.
  restart(k, latents) {
    this.start(this.latents.map((now, at) => (at === k ? latents : now)));
  }

  set(k, { temperature, offset }) {
    this.settings[k] = { temperature, offset: [...offset] };
    this.update();
  }

  get isMoved() {
    return this.settings.some(({ temperature, offset: [u, v] }, k) => {
      const { temperature: before, offset: [u0, v0] } = this.startSettings[k];
      return temperature !== before || u !== u0 || v !== v0;
    });
  }

  // Find the directions of a scale, unless they are known.
  prepare(k) {
    if (this.directions[k]) return;
    const { h, w, c, data } = this.startLatents[k];
    const decode = (z) => forward(this.glow, this.startLatents.map((old, at) =>
      (at === k ? image(h, w, c, z) : old))).x.data;
    this.directions[k] = directionsOf(data, decode, k + 1);
  }

  latentsOf(k) {
    const { temperature, offset: [u, v] } = this.settings[k], start = this.startLatents[k];
    if (u || v) this.prepare(k);
    const [first, second] = this.directions[k] ?? [];
    return image(start.h, start.w, start.c, start.data.map((z, at) =>
      temperature * z + (u ? u * first[at] : 0) + (v ? v * second[at] : 0)));
  }

  update() {
    this.latents = this.startLatents.map((_, k) => this.latentsOf(k));
    const { x, logDet } = forward(this.glow, this.latents);
    this.x = x;
    this.logDet = -logDet;
    this.logNormal = logNormal(this.latents);
    this.logProb = this.logNormal + this.logDet;
    this.bits = bitsPerDim(this.logProb, x.data.length, this.nBits);
  }
}
