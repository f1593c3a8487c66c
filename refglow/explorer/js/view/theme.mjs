// Light or dark: the system's choice until the button is used.
import { byId } from "./elements.mjs";
import { forgetColours } from "./colours.mjs";

// Calls redraw when colours have changed.
export function followTheme(redraw) {
  const button = byId("theme"), system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : system.matches;
  };
  const changed = () => {
    button.setAttribute("aria-pressed", isDark());
    forgetColours();
    redraw();
  };
  button.setAttribute("aria-pressed", isDark());
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    changed();
  });
  system.addEventListener("change", changed);
}
