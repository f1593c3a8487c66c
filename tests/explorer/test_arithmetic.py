"""The page's arithmetic, by refglow's own judges: golden vectors, and the model that is shipped."""

import shutil

import numpy as np
import pytest
from node import by_node, with_mistake
from typer.testing import CliRunner

import refglow as rg
from refglow.cli.main import app
from refglow.explorer import shipped_content
from refglow.training.dequantize import bits_per_dim
from refglow.training.model import affine_network, distribution_of
from refglow.validation.random_models import randomize_weights
from refglow.validation.vectors.catalogue import BY_NAME
from refglow.validation.vectors.folder import write_vector
from refglow.validation.vectors.judging import judged, result_files

VECTORS = (
    "squeeze-4x6x3", "squeeze-3x6x2-by-3", "actnorm-2x2x3-of-2x3", "actnorm-7x1x3-of-2",
    "actnorm-small", "actnorm-large", "scalematveclu-12", "scalematveclu-1",
    "onebyoneconv-5x7x4-of-2", "onebyoneconv-substitution",
    "conv2d-3x3-of-4x6x2-to-3", "conv2d-1x5-of-5x3x3-to-2",
    "conv2d-1x1-of-3x3x5-to-1", "conv2d-2x3-valid-of-5x4", "couplingnetwork-5x3x3-7",
    "exitnetwork-3x5x6-2", "glowblock-2x3x4-2", "glowblock-3x5x6-3", "glowblock-2x3x4-2-additive",
    "glowblock-4x2x2-2-no-actnorm", "exitbijector-2x3-3-1-2", "exitbijector-1x1-1-1-0-additive",
    "exitbijector-2x3-4-0-2", "exitbijector-2x3-0-4-2", "glow-2x4x3-1-2", "glow-4x8x2-2-2",
    "glow-8x4x3-2-1-additive", "glow-exits-some", "glow-exits-none", "glow-exits-all",
    "glow-exits-floor", "glow-8x16x3-3-2", "glow-8x8x1-3-2-no-actnorm")

# (module, what is right, what is planted)
MISTAKES = {
    "scale and shift exchanged": (
        "coupling.mjs", "additive ? output : channels(output, mapped, 2 * mapped)",
        "additive ? output : channels(output, 0, mapped)"),
    "matrix transposed": ("matvec_lu.mjs", "y.data[start + place[k]] = v[k]",
                          "y.data[start + k] = v[place[k]]"),
    "the other half decides": (
        "coupling.mjs", "const a = channels(x, 0, deciding),",
        "const a = channels(x, mapped, deciding + mapped),"),
    "H W forgotten, ActNorm": ("actnorm.mjs", "logDet: y.h * y.w * sum(", "logDet: sum("),
    "H W forgotten, 1x1 convolution": (
        "matvec_lu.mjs", "{ y, logDet: x.h * x.w * logDetOf", "{ y, logDet: logDetOf"),
    "sigmoid without + 2": ("affine.mjs", "const x = r + 2;", "const x = r;"),
    "squeeze the other way": ("squeeze.mjs", "((i * b + p) * w + j * b + q)",
                              "((i * b + q) * w + j * b + p)"),
    "steps in the wrong order": ("layers.mjs", "for (let j = steps - 1; j >= 0; j--)",
                                 "for (let j = 0; j < steps; j++)"),
    "border not padded": ("conv2d.mjs", "row < 0 ||", "row < 1 ||"),
    "float32": ("image.mjs", "data = new Float64Array(", "data = new Float32Array("),
    "latents not squeezed on": ("latents.mjs", "if (i > 0) rest = squeeze(rest);",
                                "if (i > 1) rest = squeeze(rest);"),
}


@pytest.fixture(scope="module")
def exported(kept, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    for name in VECTORS:
        write_vector(folder, BY_NAME[name], kept)
    return folder


def found_in(folder, kept):
    return {one.name: one for one in judged(result_files(folder), kept)}


def test_golden_vectors(exported, kept, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "copy")
    by_node("vectors.mjs", folder)
    found = found_in(folder, kept)
    assert sorted(found) == sorted(VECTORS)
    for one in found.values():
        assert one.passed and one.rows and {row.dtype for row in one.rows} == {"float64"}
        assert all("vjp" in name or "jvp" in name for name in one.absent)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_golden_vectors_see_a_mistake(mistake, exported, kept, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "copy")
    by_node("vectors.mjs", folder, modules=with_mistake(tmp_path, *MISTAKES[mistake]))
    assert not all(one.passed for one in found_in(folder, kept).values())


# ---- whole models ----------------------------------------------------------------------------


def judged_model(folder, glow, images):
    """The exit code and the words of `refglow validate` for the page's arithmetic on a model."""
    rg.save(folder / "model.safetensors", glow)
    run(["validate", "--export", folder / "out", "--model", folder / "model.safetensors",
         "--images", images, "--seed", 3])
    by_node("model.mjs", folder / "out")
    return run(["validate", "--results", folder / "out"])


def run(arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_the_shipped_model(tmp_path):
    """Latents, log-dets, densities, images, and each of its 77 layers, in float64."""
    done = judged_model(tmp_path, shipped_content().glow, 4)
    assert done.exit_code == 0 and "All agree" in done.stdout, done.stdout


@pytest.mark.parametrize("fractions", [(0.25, 0.0), (0.0, 1.0), (0.7, 0.3)])
def test_a_model_with_other_exits(fractions, tmp_path):
    rng = np.random.default_rng(5)
    glow = rg.bijectors.Glow((4, 8, 3), 2, 2, affine_network(5), grab_after_block=fractions,
                             seed=rng, dtype=np.float64)
    randomize_weights(glow, rng, 0.5)
    done = judged_model(tmp_path, glow, 2)
    assert done.exit_code == 0 and "All agree" in done.stdout, done.stdout


@pytest.mark.usefixtures("by_the_specification")
def test_the_shipped_model_is_what_its_card_says():
    content = shipped_content()
    glow = content.glow.astype(np.float64)
    x = (content.levels + 0.5) / 2.0**content.n_bits - 0.5
    found = bits_per_dim(distribution_of(glow).log_prob(x), x[0].size, content.n_bits)
    assert found.mean() < 2.6 and found.max() < 4  # a model of noise has 5 bits
    assert content.levels.max() <= content.max_level == 16 and content.n_bits == 5
