"""Modules as one script: the same function, and nothing that would not be the same."""

import shutil
import subprocess
from importlib import resources

import pytest

from refglow.explorer.bundle import bundled

MODULES = {
    "view/page.mjs": 'import { twice, three as more } from "../numbers.mjs";\n'
                     'import {\n  Named } from "./named.mjs";\n'
                     'console.log(twice(more), new Named().name);\n',
    "numbers.mjs": "const hidden = 2;\nexport const three = 3;\n"
                   "export function twice(x) { return hidden * x; }\n",
    "view/named.mjs": 'import { twice } from "../numbers.mjs";\nconst hidden = twice(2);\n'
                      "export class Named { name = `exports ${hidden}`; }\n"}


def test_a_bundle_does_what_its_modules_do(tmp_path):
    script = bundled("view/page.mjs", MODULES.__getitem__)
    assert script.count("const module_numbers = ") == 1
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    for name, text in {**MODULES, "bundle.mjs": script}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    said = [subprocess.run(["node", tmp_path / name], capture_output=True, text=True,
                           check=True).stdout for name in ("view/page.mjs", "bundle.mjs")]
    assert said == ["6 exports 4\n"] * 2


@pytest.mark.parametrize("text", [
    'import all from "./x.mjs";\n', 'import * as all from "./x.mjs";\n', "export default 3;\n",
    'import { a } from "far";\n', 'export { a } from "./x.mjs";\n',
    'const x = await import("./x");\n',
    "export let a = 3;\n", "export async function f() {}\n"])
def test_what_is_not_bundled_is_refused(text):
    with pytest.raises(ValueError, match="imports or exports in a way that is not bundled"):
        bundled("page.mjs", {"page.mjs": text, "x.mjs": ""}.__getitem__)


def test_a_circle_is_refused():
    modules = {"a.mjs": 'import { b } from "./b.mjs";\n', "b.mjs": 'import { a } from "./a.mjs";\n'}
    with pytest.raises(ValueError, match=r"a\.mjs imports b\.mjs imports a\.mjs\."):
        bundled("a.mjs", modules.__getitem__)


def test_every_module_is_in_the_page():
    folder = resources.files("refglow.explorer") / "js"
    names = {f"view/{path.name}" for path in (folder / "view").iterdir()} | {
        path.name for path in folder.iterdir() if path.name.endswith(".mjs")}
    script = bundled("view/page.mjs", lambda path: (folder / path).read_text("utf-8"))
    written = {name for name in names
               if f"const module_{name.removesuffix('.mjs').replace('/', '_')} = " in script}
    assert names - written == {"latents.mjs"}  # refglow's latent vector: for the tests alone
