"""The plugin as pytest loads it: in processes of their own, whose tests are written here."""

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

GLOW = """
import numpy as np
import pytest
from refglow.bijectors import Glow
from refglow.training.model import affine_network
from refglow.validation.mutants import MUTANTS, PortedGlow
from refglow.validation.random_models import randomize_weights

@pytest.fixture(scope="session")
def glow():
    glow = Glow((4, 8, 2), 2, 2, affine_network(6), seed=0, dtype=np.float64)
    randomize_weights(glow, np.random.default_rng(3), 0.4)
    return glow
"""


@pytest.fixture
def project(pytester):
    """A project whose settings are strict, so that the plugin may disturb nothing."""
    pytester.makeini("[pytest]\naddopts = --strict-markers --strict-config\n"
                     "filterwarnings = error\n")
    pytester.makeconftest(GLOW)
    return pytester


def test_it_is_found_by_its_entry_point():
    [found] = entry_points(group="pytest11", name="refglow")
    assert found.value == "refglow.validation.pytest_plugin"


def test_a_run_without_its_fixtures_imports_nothing_for_it(pytester):
    pytester.makepyfile("""
        import sys

        def test_nothing():
            assert "refglow.validation.pytest_plugin" in sys.modules
            heavy = {"numpy", "scipy", "numba", "rich", "typer", "jsonschema", "safetensors"}
            assert not heavy & set(sys.modules)
            assert [name for name in sys.modules if name.startswith("refglow")] == [
                "refglow", "refglow.validation", "refglow.validation.pytest_plugin"]
        """)
    alone = ("-p", "no:hypothesispytest")  # which imports what it finds
    result = pytester.runpytest_subprocess(*alone)
    result.assert_outcomes(passed=1)


def test_importing_it_takes_milliseconds(tmp_path):
    code = ("import importlib.metadata, pytest, time; start = time.process_time()\n"
            "import refglow.validation.pytest_plugin; print(time.process_time() - start)")
    seconds = [float(subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True,
                                    capture_output=True, text=True).stdout) for _ in range(3)]
    assert min(seconds) < 0.03


def test_it_can_be_left_out(pytester):
    pytester.makepyfile("""
        import sys
        import pytest

        def test_nothing(request):
            assert "refglow" not in sys.modules
            with pytest.raises(pytest.FixtureLookupError):
                request.getfixturevalue("refglow_vectors")
        """)
    pytester.runpytest_subprocess("-p", "no:refglow").assert_outcomes(passed=1)


def test_right_wrong_and_vectors_on_two_workers(project):
    project.makepyfile("""
        import numpy as np
        import pytest
        from refglow.bijectors.scale_matvec_lu import scale_matvec_lu_forward
        from refglow.validation.mutants import MUTANTS, PortedGlow

        def test_right(refglow_assert_conforms, glow):
            assert len(refglow_assert_conforms(PortedGlow, "all", glow=glow)) == 2

        def test_wrong(refglow_assert_conforms, glow):
            build = MUTANTS["coupling-shift-negative"].build
            refglow_assert_conforms(build, "layers", glow=glow, dtype=np.float64)

        def test_crashing(refglow_assert_conforms, glow):
            class Crashing(PortedGlow):
                def inverse(self, x):
                    return self.no_such_method(x)
            refglow_assert_conforms(Crashing, "values", glow=glow, dtype=np.float64)

        @pytest.mark.refglow_vectors("scalematveclu-8", "scalematveclu-1")
        @pytest.mark.parametrize("dtype", [np.float32, np.float64])
        def test_each(refglow_vector, dtype):
            assert refglow_vector.operation == "ScaleMatvecLU"
            parameters = {name: array.astype(dtype) if array.dtype.kind == "f" else array
                          for name, array in refglow_vector.parameters.items()}
            y, _ = scale_matvec_lu_forward(refglow_vector.inputs["forward/input"].astype(dtype),
                                           **parameters)
            refglow_vector.assert_matches("forward/value", y)

        @pytest.mark.refglow_vectors("exp-", flags=("Gradient",))
        def test_nothing_like_it(refglow_vector):
            refglow_vector.assert_matches("forward/value", 2 * refglow_vector.inputs[
                "forward/input"])

        def test_one(refglow_vectors):
            assert refglow_vectors["glow-random-16"].operation == "Glow"
        """)
    result = project.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider")
    text = result.stdout.str()
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] == 2 + 2 * 6 and outcomes["failed"] > 2, text
    assert "errors" not in outcomes and "warnings" not in outcomes, text
    words = " ".join(re.sub(r"^E", "", text, flags=re.MULTILINE).split())
    assert 'At level "layers": inverse,' in words
    assert "the first that differs, from the image, is block1.step1.coupling" in words
    assert "With that read as yours, all" in words
    assert "AttributeError: 'Crashing' object has no attribute 'no_such_method'" in words
    assert ">       return self.no_such_method(x)" in text.replace("E ", "")
    assert "Mistakes that it catches:" in words
    for ours in ("conforming.py", "asked.py", "vectors.py", "calls.py"):
        assert f"{ours}:" not in text  # frames of refglow's


def test_the_guide_s_example(project):
    page = Path(__file__).parents[2] / "docs/guide/test_suites.md"
    [example] = [block for block in re.findall(r"```python\n(.*?)```",
                                               page.read_text(encoding="utf-8"), re.DOTALL)
                 if "refglow_assert_conforms" in block]
    project.makepyfile(mine="""
        from refglow.bijectors.scale_matvec_lu import scale_matvec_lu_forward
        from refglow.validation.mutants import PortedGlow as build

        def my_convolution(x, lower_upper, permutation):
            return scale_matvec_lu_forward(x, lower_upper, permutation)[0]
        """, test_glow=example)
    result = project.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.parseoutcomes() == {"passed": 31}, result.stdout.str()


def test_markers_that_choose_nothing(project):
    project.makepyfile("""
        import pytest

        @pytest.mark.refglow_vectors("no_such_operation")
        def test_none(refglow_vector): ...
        """, test_other="""
        def test_all(refglow_vector): ...
        """, test_third="""
        import pytest

        @pytest.mark.refglow_vectors(flag="WrongHalf")
        def test_wrong_argument(refglow_vector): ...
        """)
    result = project.runpytest_subprocess()
    text = result.stdout.str()
    assert result.parseoutcomes() == {"errors": 3}
    assert "No operation is called 'no_such_operation'" in text
    assert "refglow_vector needs the marker @pytest.mark.refglow_vectors(...)" in text
    assert "unexpected keyword argument 'flag'" in text
    assert "Traceback" not in text and "pytest_plugin.py" not in text


def test_fixtures_and_markers_are_explained(pytester):
    fixtures = pytester.runpytest_subprocess("--fixtures", "-v").stdout.str()
    assert "no docstring available" not in fixtures.partition("refglow.validation")[2].partition(
        "-----")[2].partition("-----")[0]
    for name in ("refglow_assert_conforms", "refglow_vectors", "refglow_vector"):
        assert re.search(rf"^{name}\b", fixtures, re.MULTILINE)
    markers = pytester.runpytest_subprocess("--markers").stdout.str()
    assert "@pytest.mark.refglow_vectors(*names, flags=(), direction=None): run the" in markers
