// A movie of something that draws itself at a time t from 0 to 1: a button to play and pause, and a
// slider to go anywhere. It begins by itself when it comes into sight, unless the reader asked for
// less motion.
import { el } from "./elements.mjs";

// {controls, stop} of draw(t).
export function movie(draw, seconds, label) {
  const slider = el("input", { type: "range", min: 0, max: 1, step: 0.02, value: 0,
    "aria-label": label });
  const button = el("button", { type: "button" }, "Play");
  let t = 0, frame = null, before = null;

  const show = (to) => {
    t = Math.min(1, to);
    slider.value = t;
    draw(t);
  };
  const stop = () => {
    cancelAnimationFrame(frame);
    frame = before = null;
    observer.disconnect();
    button.textContent = "Play";
  };
  const tick = (now) => {
    show(t + (before === null ? 0 : (now - before) / 1000 / seconds));
    before = now;
    if (t === 1) stop();
    else frame = requestAnimationFrame(tick);
  };
  const play = () => {
    observer.disconnect();
    if (t === 1) show(0);
    button.textContent = "Pause";
    frame = requestAnimationFrame(tick);
  };

  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  button.addEventListener("click", () => (frame === null ? play() : stop()));
  const controls = el("div", { class: "movie-controls" }, button, slider);
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
    observer.disconnect();
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play();
  });
  observer.observe(controls);
  show(0);
  return { stop, controls };
}
