// The first part: an image, the latents it is made of, and all that moves them.
import { forward } from "../glow.mjs";
import { image } from "../image.mjs";
import { normals } from "../random.mjs";
import { followBetween } from "./between.mjs";
import { byId, oncePerFrame } from "./elements.mjs";
import { latentCard, scaleName } from "./latent_card.mjs";
import { later, whenQuiet } from "./later.mjs";
import { drawImage } from "./pictures.mjs";
import { Place } from "./place.mjs";
import { followSight, showPlace, tellRoundTrip } from "./readout.mjs";
import { press, thumbs } from "./thumbs.mjs";

const SAMPLES = 12, TEMPERATURE = 0.8, QUIET = 300;  // samples' temperature; milliseconds

// Builds the part; calls seen(x) when there is another image. Returns {redraw}.
export function play({ glow, images, nBits, maxLevel }, seen) {
  const place = new Place(glow, nBits), range = { nBits, maxLevel };
  let caption = "", cards = [];

  const seenSoon = oncePerFrame(() => seen(place.x));
  const prepareSoon = whenQuiet(() =>
    cards.forEach((_, k) => later(() => place.prepare(k))), QUIET);
  const draw = () => {
    showPlace(place, range, caption);
    cards.forEach((card, k) => card.draw(place.latents[k]));
    seenSoon();
  };
  // After the place has started anew: from what, and by which button.
  const started = (words, button = null) => {
    caption = words;
    press(button);
    cards.forEach((card, k) => card.show(place.settings[k]));
    draw();
    prepareSoon();
  };

  place.startAtImage(images[0].x);
  const between = followBetween({ glow, images, range }, (latents, words) => {
    place.start(latents);
    started(words);
  });
  const elsewhere = (words, button) => { between.rest(); started(words, button); };
  const random = normals(7), shapes = place.latents;
  cards = scaleCards(place, random, { draw, elsewhere });
  byId("scales").append(...cards.map((card) => card.element));
  byId("images").append(...thumbs(images.map(({ name, x }) => ({ name,
    draw: (canvas) => drawImage(canvas, x, range),
    go: (button) => { place.startAtImage(x); elsewhere(name, button); } }))));
  const drawSamples = () => byId("samples").replaceChildren(...thumbs(
    samplesOf(glow, shapes, random, range, (latents, settings, name, button) => {
      place.start(latents, settings);
      elsewhere(name, button);
    })));
  byId("resample-all").addEventListener("click", drawSamples);
  drawSamples();
  followSight(byId("mini"), byId("picture"), byId("play"));
  tellRoundTrip(glow, images, range.nBits);
  started(images[0].name, byId("images").firstChild);
  return { redraw: draw };
}

const noise = ({ h, w, c }, random) =>
  image(h, w, c, Float64Array.from({ length: h * w * c }, random));

// The cards of all scales, connected to a place.
function scaleCards(place, random, { draw, elsewhere }) {
  const shapes = place.latents;
  return shapes.map((shape, k) => {
    const card = latentCard(k, shapes, {
      begin: () => place.prepare(k),
      changed: (settings) => { place.set(k, settings); draw(); },
      reset: () => {
        place.set(k, place.startSettings[k]);
        card.show(place.settings[k]);
        draw();
      },
      resample: () => {
        place.restart(k, noise(shape, random));
        elsewhere(`${scaleName(k, shapes.length)} drawn anew`);
      } });
    return card;
  });
}

// A dozen samples for `thumbs`; go(latents, settings, name, button) starts at one of them.
function samplesOf(glow, shapes, random, range, go) {
  return Array.from({ length: SAMPLES }, (_, n) => {
    const latents = shapes.map((shape) => noise(shape, random));
    const settings = shapes.map(() => ({ temperature: TEMPERATURE, offset: [0, 0] }));
    const cooled = latents.map(({ h, w, c, data }) =>
      image(h, w, c, data.map((z) => TEMPERATURE * z)));
    const name = `Sample ${n + 1}, temperature ${TEMPERATURE}`;
    return { name, draw: (canvas) => drawImage(canvas, forward(glow, cooled).x, range),
      go: (button) => go(latents, settings, name, button) };
  });
}
