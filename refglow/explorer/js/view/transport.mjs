// Back, next, run, and a slider: which layer is looked at.
import { byId, oncePerFrame } from "./elements.mjs";

const PAUSE = 900;  // milliseconds on each layer while it runs

// Calls show(index) for one of `count`. Returns {go(index), now()}.
export function transport(count, show) {
  const slider = byId("layer"), run = byId("layer-run");
  let now = 0, timer = null;
  slider.max = count - 1;

  const move = (to) => {
    now = Math.max(0, Math.min(count - 1, to));
    slider.value = now;
    byId("layer-back").disabled = now === 0;
    byId("layer-on").disabled = now === count - 1;
    show(now);
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    run.textContent = "Run";
    run.setAttribute("aria-pressed", "false");
  };
  const start = () => {
    if (now === count - 1) move(0);
    timer = setInterval(() => (now === count - 1 ? stop() : move(now + 1)), PAUSE);
    run.textContent = "Stop";
    run.setAttribute("aria-pressed", "true");
  };
  const go = (to) => { stop(); move(to); };

  run.addEventListener("click", () => (timer ? stop() : start()));
  byId("layer-back").addEventListener("click", () => go(now - 1));
  byId("layer-on").addEventListener("click", () => go(now + 1));
  const slide = oncePerFrame(() => go(Number(slider.value)));
  slider.addEventListener("input", slide);
  return { go, now: () => now };
}
