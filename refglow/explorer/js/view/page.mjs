// The page: reads what was put into it, and starts its three parts.
import { image } from "../image.mjs";
import { modelOf } from "../model.mjs";
import { byId } from "./elements.mjs";
import { design } from "./design.mjs";
import { play } from "./play.mjs";
import { followTheme } from "./theme.mjs";
import { watch } from "./watch.mjs";

const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

// An image from its levels, in the middle of their cells: x = (level + 1/2) / 2^n - 1/2.
const imageOf = ([h, w, c], levels, nBits) =>
  image(h, w, c, Float64Array.from(levels, (level) => (level + 0.5) / 2 ** nBits - 0.5));

const data = JSON.parse(byId("data").textContent);
const glow = modelOf(bytesOf(data.model)), { n_bits: nBits, max_level: maxLevel } = data;
const images = data.images.map(({ name, levels }) => (
  { name, x: imageOf(glow.shape, levels, nBits) }));
document.documentElement.style.setProperty("--ratio", `${glow.shape[1]} / ${glow.shape[0]}`);

const watching = watch({ glow, range: { nBits, maxLevel } });
const playing = play({ glow, images, nBits, maxLevel }, (x) => watching.see(x));
performance.mark("first picture");
watching.see(images[0].x);
design(data.architecture);
followTheme(() => { playing.redraw(); watching.redraw(); });
document.documentElement.dataset.ready = "yes";
