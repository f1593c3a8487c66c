// What the page says of architectures: node counts.mjs JS reads a JSON list of them from standard
// input ("nan" and "inf" as text) and prints a list of counts and {error, which}.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(join(process.argv[2], `${name}.mjs`)));
const { ImpossibleError } = await load("architecture");
const { countsOf } = await load("counts");

const special = { nan: NaN, inf: Infinity };
const given = JSON.parse(readFileSync(0, "utf8"), (_, value) => special[value] ?? value);
console.log(JSON.stringify(given.map(({ batch, ...architecture }) => {
  try {
    return countsOf(architecture, batch);
  } catch (error) {
    if (!(error instanceof ImpossibleError)) throw error;
    return { error: error.message, which: error.which };
  }
})));
