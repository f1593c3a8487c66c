// The table of stages: shapes, who exits, parameters, work.
import { counted, el, flopsText, shapeText, whole } from "./elements.mjs";

const HEADS = ["", "shape", "steps work on", "exit", "travel along", "parameters", "FLOPs"];

const row = (name, cells, tag = "td") => el("tr", {}, el("th", { scope: "row" }, name),
  ...cells.map((cell) => el(tag, {}, cell)));

export function shapesTable({ h, w, c, steps }, { stages, parameters, flops }) {
  const rows = stages.map(({ name, h: high, w: wide, channels, leave, grab, pass, ...stage }) =>
    row(name, [shapeText(high, wide, channels + pass),
      `${counted(channels, "channel")} \u00d7 ${counted(steps, "step")}`,
      grab ? `${grab} of ${leave + grab}` : "none", pass ? String(pass) : "none",
      whole(stage.parameters.total), flopsText(stage.flops.total)]));
  const last = stages.at(-1);
  const numbers = h * w * c;
  return [
    el("thead", {}, el("tr", {}, ...HEADS.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, row("image", [shapeText(h, w, c), "", "", "", "", ""]), ...rows,
      row("latents", [`${whole(numbers)} = ${shapeText(last.h, last.w, numbers / last.h / last.w)}`,
        "", "", "", "", ""])),
    el("tfoot", {}, row("in all", ["", "", "", "", whole(parameters), flopsText(flops)]))];
}
