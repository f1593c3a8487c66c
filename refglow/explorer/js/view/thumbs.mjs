// Small pictures to choose from.
import { el } from "./elements.mjs";
import { later } from "./later.mjs";

// Buttons {name, draw(canvas), go(button)}; the pictures are drawn as soon as there is time.
export const thumbs = (all) => all.map(({ name, draw, go }) => {
  const canvas = el("canvas", { role: "img", "aria-label": name });
  later(() => draw(canvas));
  const button = el("button", { type: "button", "aria-pressed": "false", title: name,
    onclick: () => go(button) }, canvas);
  return button;
});

// One button, or none, is the chosen one.
export function press(pressed) {
  document.querySelectorAll(".thumbs button").forEach((button) =>
    button.setAttribute("aria-pressed", button === pressed));
}
