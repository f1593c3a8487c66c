"""Golden vectors catch the mistakes that their flags name: each is planted, and must be seen.

Seen means: not within the tolerance that `refglow validate --results` has for that result. For
SingleChannel what is planted is one of the forms that the mistake has: data that stay as they are.
"""

import re
import warnings
from dataclasses import replace

import numpy as np
import plants
import pytest
from scipy.linalg import solve_triangular

from refglow.bijectors.activation_normalization import channel_statistics
from refglow.bijectors.scale_matvec_lu import lu_reconstruct
from refglow.validation.compare import difference
from refglow.validation.vectors.catalogue import BY_NAME, VECTORS
from refglow.validation.vectors.flags import FLAGS
from refglow.validation.vectors.judging import judge_of
from refglow.validation.vectors.results import evaluated_in

_JUDGES = {}  # by vector: their conditions are measured once, with nothing planted


def flagged(flag):
    """The vectors with a flag, but for the default Glow, which takes seconds each time."""
    found = [vector for vector in VECTORS if flag in vector.flags and vector.name != "glow-cifar"]
    assert found
    return found


def evaluate(vector, inputs, dtype=np.float64):
    """Values and log-dets: each mistake must show there already."""
    vector = replace(vector, derivatives=())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a variance of one number, over 0
        return evaluated_in(vector, inputs, dtype).results


def judge_for(kept, vector):
    """What compares its values and log-dets with the truth."""
    if vector.name not in _JUDGES:
        _JUDGES[vector.name] = judge_of(replace(vector, derivatives=()), kept)
    return _JUDGES[vector.name]


def is_caught(kept, vector, found):
    """Whether a result is none of the vector's, or not within its tolerance."""
    truth, judge = kept.results(vector).values, judge_for(kept, vector)

    def wrong(name, array):
        if name not in truth or array.shape != truth[name]["float64"].shape:
            return True
        row = judge(name, array, truth[name]["float64"])
        return row is not None and not row.passed
    return any(wrong(name, array) for name, array in found.items())


def missed_by(kept, vectors, compute, shows_in=""):
    """The vectors whose results, or whose results of this kind, do not show it."""
    def of_kind(found):
        wanted = {name: array for name, array in found.items()
                  if name.partition("/")[2].startswith(shows_in)}
        return wanted or found
    return [vector.name for vector in vectors
            if not is_caught(kept, vector, of_kind(compute(vector, kept.inputs(vector))))]


# ---- planted into the specification -----------------------------------------------------------

PLANTS = {
    "SpaceToDepth": [plants.space_to_depth_order], "SqueezeAxes": [plants.columns_before_rows],
    "WrongHalf": [plants.wrong_half],
    "ScaleFloor": [plants.scale_with_floor], "AdditiveInstead": [plants.no_scale],
    "MissingHW": [plants.missing_height_times_width],
    "LogDetBroadcast": [plants.missing_height_times_width],
    "DroppedTerm": [plants.log_dets_of_matrices_and_sigmoids_left_out],
    "Accumulation": [plants.sums_in_float16],
    "TransposedW": [plants.transposed_weights],
    "PermutationInverse": [plants.inverted_permutation],
    "LUPacking": [plants.exchanged_triangles], "LUSign": [plants.positive_diagonal],
    "ActNormOrder": [plants.actnorm_scales_before_shifting],
    "ActNormGain": [plants.actnorm_gain],
    "SampleStd": [plants.sample_standard_deviation],
    "ActNormEpsilon": [plants.no_epsilon_in_actnorm],
    "PaddingValue": [plants.padded_with_ones], "Activation": [plants.leaky_activation],
    "StepOrder": [plants.convolution_before_coupling],
    "ShiftBeforeScale": [plants.shift_before_scale, plants.exits_shift_before_scale,
                         plants.pairs_shift_before_scale],
    "ScaleOffset": [plants.scale_without_offset, plants.exits_without_offset],
    "ScaleFunction": [plants.other_scale_function, plants.pairs_by_sigmoid],
    "ExitForm": [plants.exits_whiten],
}


@pytest.mark.parametrize("flag", PLANTS)
def test_it_is_seen_where_it_is_planted(flag, kept, monkeypatch):
    others = ("Permute", "Transpose", "Pad", "SigmoidBetween", "Normal", "Independent", "Sample")
    if flag in ("StepOrder", "ShiftBeforeScale"):
        others += ("Chain",)
    vectors = [vector for vector in flagged(flag) if vector.operation not in others]  # see below
    for vector in vectors:
        judge_for(kept, vector)
    for plant in PLANTS[flag]:
        plant(monkeypatch)
    missed = missed_by(kept, vectors, evaluate, FLAGS[flag].shows_in)
    assert not missed, f"{flag}: {len(missed)} of {len(vectors)}: {missed}"


def test_the_parts_of_a_chain_in_another_order_are_seen(kept):
    def reversed_(vector, inputs):
        parts = vector.arguments["parts"][::-1]
        renamed = {name: array for name, array in inputs.items() if not name.startswith("params/")}
        for name, array in inputs.items():
            if name.startswith("params/"):
                index, _, rest = name.removeprefix("params/").partition(".")
                renamed[f"params/{len(parts) - 1 - int(index)}.{rest}"] = array
        other = replace(vector, arguments={"parts": parts}, directions=("forward",))
        found = evaluate(other, renamed)
        return {"forward/value": found["forward/value"]}
    chains = [vector for vector in flagged("StepOrder") + flagged("ShiftBeforeScale")
              if vector.operation == "Chain"]
    assert len(chains) == 4 and not missed_by(kept, chains, reversed_)


def test_an_inverse_permutation_is_seen(kept):
    def inverted(vector, inputs):
        if vector.operation == "Permute":
            return evaluate(vector, inputs | {
                "params/permutation": np.argsort(inputs["params/permutation"])})
        arguments = {"perm": np.argsort(vector.arguments["perm"]).tolist()}
        return evaluate(replace(vector, arguments=arguments, directions=("forward",)), inputs)
    vectors = [vector for vector in flagged("PermutationInverse")
               if vector.operation in ("Permute", "Transpose")]
    assert len(vectors) == 8 and not missed_by(kept, vectors, inverted)


def test_padding_with_another_number_is_seen(kept):
    vectors = [vector for vector in flagged("PaddingValue") if vector.operation == "Pad"]
    assert len(vectors) == 3 and not missed_by(kept, vectors, lambda vector, inputs: evaluate(
        replace(vector, arguments=vector.arguments | {"constant_values": 0.0}), inputs))


# ---- planted into the inputs ------------------------------------------------------------------


def kernels_of(inputs):
    return sorted(name for name in inputs
                  if name.startswith("params/") and name.rpartition(".")[-1].endswith("kernel"))


def last_kernels_of(inputs):
    """Of each network the kernel of the last layer."""
    return list({name.rpartition(".")[0].rpartition(".")[0]: name
                 for name in kernels_of(inputs)}.values())


def with_kernels(change, choose=kernels_of):
    """Evaluates with other kernels."""
    return lambda vector, inputs: evaluate(vector, inputs | {
        name: change(inputs[name]) for name in choose(inputs)})


def with_outputs(order):
    """Evaluates with the outputs of all networks in another order."""
    def compute(vector, inputs):
        if "params/raw_scale" in inputs:
            return evaluate(vector, inputs | {"params/raw_scale": inputs["params/shift"],
                                              "params/shift": inputs["params/raw_scale"]})
        changed = {}
        for kernel in last_kernels_of(inputs):
            for name in (kernel, kernel.removesuffix("kernel") + "bias"):
                changed[name] = inputs[name][..., order(inputs[name].shape[-1])]
        return evaluate(vector, inputs | changed)
    return compute


def interleaved(outputs):
    return np.r_[0:outputs:2, 1:outputs:2]


def exchanged_halves(outputs):
    return np.roll(np.arange(outputs), outputs // 2)


def channels_first(array, event_ndims):
    """The numbers in the order channel, row, column, read as if they were in ours."""
    if event_ndims < 2:
        return array[..., ::-1]
    moved = np.moveaxis(array, -1, -event_ndims)
    return moved.reshape(array.shape)


def with_input(change):
    """Evaluates `forward` on another input."""
    def compute(vector, inputs):
        changed = change(vector, inputs["forward/input"])
        found = evaluate(replace(vector, directions=("forward",)),
                         inputs | {"forward/input": changed})
        return {"forward/value": found["forward/value"]}
    return compute


def parts_of_latents(vector, z):
    return [part.reshape(*z.shape[:-1], -1) for part in vector.build(
        np.float32).split_latents(z)]


def finest_first(vector, z):
    return np.concatenate(parts_of_latents(vector, z)[::-1], axis=-1)


def without_exits(vector, z):
    glow = vector.build(np.float32)
    first, *rest = glow.split_latents(z)
    return glow.merge_latents([first, *(np.zeros_like(part) for part in rest)])


def other_channels_exit(vector, x):
    leave, grab, _ = vector.arguments["split"]
    return np.concatenate([x[..., leave:leave + grab], x[..., :leave], x[..., leave + grab:]], -1)


INPUTS = {
    "ZeroInitBlind": with_kernels(np.zeros_like, last_kernels_of),
    "InterleavedParams": with_outputs(interleaved), "SwappedParams": with_outputs(exchanged_halves),
    "FlippedKernel": with_kernels(lambda kernel: kernel[::-1, ::-1]),
    "KernelLayout": with_kernels(lambda k: np.swapaxes(k, -1, -2).reshape(k.shape)),
    "FlattenNCHW": with_input(lambda vector, x: channels_first(x, len(vector.event_shape))),
    "LatentOrder": with_input(finest_first), "DroppedLatents": with_input(without_exits),
    "ExitHalf": with_input(other_channels_exit),
}


@pytest.mark.parametrize("flag", INPUTS)
def test_it_is_seen_in_the_inputs(flag, kept):
    missed = missed_by(kept, flagged(flag), INPUTS[flag], FLAGS[flag].shows_in)
    assert not missed, f"{flag}: {missed}"


def test_the_other_direction_is_seen(kept):
    def inverse(vector, inputs):
        other = replace(vector, directions=("inverse",))
        try:
            found = evaluate(other, inputs | {"inverse/input": inputs["forward/input"]})
        except ValueError:  # outside the domain, or of another shape
            return {"forward/value": np.array(np.nan)}
        return {"forward/value": found["inverse/value"]}
    assert not missed_by(kept, flagged("InverseDirection"), inverse)


def test_another_split_is_seen(kept):
    """Its parameters have other shapes, or there are none."""
    def split(vector, inputs):
        arguments = dict(vector.arguments)
        if "split" in arguments:
            leave, grab, left = arguments["split"]
            arguments["split"] = [leave - 1, grab + 1, left] if leave else [1, grab - 1, left]
        else:
            arguments["grab_after_block"] = [
                0.25 if share == 0.5 else 0.5 for share in arguments["grab_after_block"]]
        try:
            return evaluate(replace(vector, arguments=arguments), inputs)
        except ValueError:  # the state does not fit
            return {"forward/value": np.array(np.nan)}
    assert not missed_by(kept, flagged("ExitFraction"), split)


# ---- planted into the results -----------------------------------------------------------------


def log_dets(kept, vector):
    """The vector's log-dets, or log-densities."""
    values = kept.results(vector).values
    names = [name for name in values if name.endswith("/log_det") and "jvp" not in name]
    return {name: values[name]["float64"] for name in names or ["forward/value"]}


RESULTS = {
    "LogDetSign": lambda log_det: -log_det, "LogBase": lambda log_det: log_det / np.log(2),
    "LogDetBatch": lambda log_det: np.full_like(log_det, log_det.mean()),
}


@pytest.mark.parametrize("flag", RESULTS)
def test_it_is_seen_in_the_log_dets(flag, kept):
    missed = missed_by(kept, flagged(flag), lambda vector, inputs: {
        name: RESULTS[flag](array) for name, array in log_dets(kept, vector).items()})
    assert not missed, f"{flag}: {missed}"


def test_a_width_that_is_counted_once_is_seen(kept):
    """The logarithm of high - low, where one pair serves several numbers."""
    def once(vector, inputs):
        widths = np.log(inputs["params/high"].astype(np.float64) - inputs["params/low"])
        lost = np.broadcast_to(widths, vector.event_shape).sum() - widths.sum()
        signs = {"forward": 1, "inverse": -1}
        return {name: array - signs[name.partition("/")[0]] * lost
                for name, array in log_dets(kept, vector).items()}
    vectors = [v for v in flagged("LogDetBroadcast") if v.operation == "SigmoidBetween"]
    assert len(vectors) == 3 and not missed_by(kept, vectors, once)


def test_a_density_without_its_constant_is_seen(kept):
    def without(vector, inputs):
        value = kept.results(vector).values["forward/value"]["float64"]
        terms = inputs["forward/input"].size / value.size
        return {"forward/value": value + terms * np.log(2 * np.pi) / 2}
    vectors = [v for v in flagged("DroppedTerm")
               if v.operation in ("Normal", "Independent", "Sample")]
    assert len(vectors) == 6 and not missed_by(kept, vectors, without)


# ---- gradients --------------------------------------------------------------------------------


def gradients(vector, inputs, **bars):
    """The cotangents of the input and the parameters, of the first direction."""
    direction = vector.directions[0]
    other = replace(vector, directions=(direction,), derivatives=("vjp",))
    made = evaluated_in(other, inputs, np.float64).inputs
    changed = {name: bars[name.split("/")[1]](array) for name, array in made.items()
               if name.split("/")[0] == direction and name.split("/")[1] in bars}
    found = evaluated_in(other, made | changed, np.float64).results
    return {name: array for name, array in found.items() if "/vjp/" in name}


def of_the_first_example(bar):
    return np.concatenate([bar[:1], np.zeros_like(bar[1:])])


def without_the_log_det(vector, inputs):
    return gradients(vector, inputs, log_det_bar=np.zeros_like)


def without_the_sum_over_examples(vector, inputs):
    found = gradients(vector, inputs, value_bar=of_the_first_example,
                      log_det_bar=of_the_first_example)
    return {name: array for name, array in found.items() if "/vjp/params/" in name}


def without_the_value(vector, inputs):
    """What a detached tensor does: of the map's own derivative nothing arrives."""
    return gradients(vector, inputs, value_bar=np.zeros_like)


def is_wrong_gradient(judge, right, found):
    rows = [judge(name, array, right[name]["float64"]) for name, array in found.items()]
    return any(row is not None and not row.passed for row in rows)


def test_gradients_without_one_of_their_terms_are_seen(kept):
    """Each term that a gradient has, left out by itself, must be seen."""
    for vector in flagged("Gradient")[::3]:  # a grid of sizes; each kind of map is met many times
        if vector.size > 200:
            continue  # the same operations as in smaller ones, at many times the cost
        inputs, right = kept.inputs(vector), kept.results(vector).values
        judge = judge_of(vector, kept)
        assert not is_wrong_gradient(judge, right, gradients(vector, inputs)), vector.name
        seen = [is_wrong_gradient(judge, right, plant(vector, inputs)) for plant in (
            without_the_value, without_the_log_det, without_the_sum_over_examples)]
        assert seen[0], vector.name
        log_det = right.get(f"{vector.directions[0]}/log_det")
        additive = vector.arguments.get("network") == "additive" and vector.generated
        assert seen[1] or additive or log_det is None or not log_det["float64"].any(), vector.name
        summed = any("/vjp/params/" in name for name in right) and vector.batch_shape[0] > 1
        assert seen[2] or not summed or vector.batch_shape == (), vector.name


# ---- careless arithmetic ----------------------------------------------------------------------


def naive_sigmoid(x, _):
    s = 1 / (1 + np.exp(-x))
    return s, np.log(s * (1 - s))


def naive_softplus(x, _):
    return np.log(1 + np.exp(x)), np.log(1 / (1 + np.exp(-x)))


def naive_tanh(x, _):
    e, f = np.exp(x), np.exp(-x)
    y = (e - f) / (e + f)
    return y, np.log(1 - y**2)


def naive_soft(x, params):
    h = params["hinge_softness"]
    y, log_slope = naive_softplus(x / h, params)
    return h * y + params["low"], log_slope


def naive_between(x, params):
    s, log_slope = naive_sigmoid(x, params)
    width = params["high"] - params["low"]
    return params["low"] + width * s, log_slope + np.log(width)


def naive_affine(x, params):
    s = 1 / (1 + np.exp(-(params["raw_scale"] + 2)))
    return x * s + params["shift"], np.broadcast_to(np.log(s), x.shape)


def naive_normal(x, params):
    z = (x - params["loc"]) / params["scale"]
    return np.log(np.exp(-z * z / 2) / (params["scale"] * np.sqrt(2 * np.pi, dtype=x.dtype))), None


NAIVE = {"Sigmoid": naive_sigmoid, "Softplus": naive_softplus, "Tanh": naive_tanh,
         "SoftplusSoft": naive_soft, "SigmoidBetween": naive_between,
         "SigmoidAffine": naive_affine, "Normal": naive_normal}
NAIVE_INVERSES = {"Sigmoid": lambda y: np.log(y / (1 - y)),
                  "Softplus": lambda y: np.log(np.exp(y) - 1),
                  "Tanh": lambda y: np.log((1 + y) / (1 - y)) / 2}


def naively(vector, inputs):
    """value and log-det by the obvious formulas, in float32."""
    with np.errstate(all="ignore"):
        if vector.directions == ("inverse",):
            return {"inverse/value": NAIVE_INVERSES[vector.operation](inputs["inverse/input"])}
        params = {name.removeprefix("params/"): array for name, array in inputs.items()
                  if name.startswith("params/")}
        value, log_slope = NAIVE[vector.operation](inputs["forward/input"], params)
    found = {"forward/value": value}
    if log_slope is not None:
        axes = tuple(range(-len(vector.event_shape), 0))
        found["forward/log_det"] = log_slope.sum(axis=axes)
    return found


@pytest.mark.parametrize("flag", ["Overflow", "LostTail"])
def test_the_obvious_formulas_fail(flag, kept):
    missed = missed_by(kept, flagged(flag), naively)
    assert not missed, f"{flag}: {missed}"


def test_subnormal_numbers_are_not_to_become_zero(kept):
    def flushed(array):
        return np.where(np.abs(array) < np.finfo(np.float32).tiny, 0, array).astype(array.dtype)
    for vector in flagged("FlushToZero"):
        inputs = {name: flushed(array) if array.dtype.kind == "f" else array
                  for name, array in kept.inputs(vector).items()}
        found = evaluate(vector, inputs, np.float32)
        assert is_caught(kept, vector, {name: flushed(array) for name, array in found.items()}), (
            vector.name)


def test_statistics_in_one_pass_lose_their_digits(kept):
    for vector in flagged("Cancellation"):
        batch = kept.inputs(vector)["forward/input"].reshape(-1, vector.event_shape[-1])
        with np.errstate(all="ignore"):
            deviation = np.sqrt((batch**2).mean(axis=0) - batch.mean(axis=0)**2)
        truth = kept.results(vector).values["forward/deviation"]["float64"]
        assert not difference(deviation, truth).relative < 1e-2, vector.name


def test_constant_channels_are_not_divided_by_zero(kept):
    for vector in flagged("ZeroVariance"):
        batch = kept.inputs(vector)["forward/input"].reshape(-1, vector.event_shape[-1])
        _, deviation = channel_statistics(batch, 0.0)
        with np.errstate(all="ignore"):
            found = {"forward/log_scale": -np.log(deviation)}
        assert is_caught(kept, vector, found), vector.name


def test_inverted_matrices_lose_more_digits_than_substitution(kept):
    """In float32: the error of W^-1 y with W^-1 computed, against that of the specification."""
    for vector in flagged("NearSingular"):
        if vector.operation != "ScaleMatvecLU":
            assert np.abs(kept.results(vector).values["inverse/value"]["float64"]).max() > 1e20
            continue
        inputs, truth = kept.inputs(vector), kept.results(vector).values["inverse/value"]
        matrix = lu_reconstruct(inputs["params/lower_upper"], inputs["params/permutation"])
        found = inputs["inverse/input"] @ np.linalg.inv(matrix).T
        ours = evaluate(vector, inputs, np.float32)["inverse/value"]
        assert difference(found, truth["float64"]).relative > 10 * difference(
            ours, truth["float64"]).relative, vector.name


def multiplied_out(vector, inputs, dtype):
    """x = W^-1 y with W = P L U multiplied out, in a number type."""
    lower_upper = inputs["params/lower_upper"].astype(dtype)
    matrix = lu_reconstruct(lower_upper, inputs["params/permutation"])
    return {"inverse/value": inputs["inverse/input"].astype(dtype) @ np.linalg.inv(matrix).T}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_matrix_that_is_multiplied_out_and_inverted_is_seen(dtype, kept):
    """W^-1 y is not within the tolerance, two substitutions are, by refglow's and LAPACK's."""
    vectors = flagged("InvertedMatrix")
    assert len(vectors) == 3 and {"ScaleMatvecLU", "OneByOneConv"} == {
        vector.operation for vector in vectors}
    for vector in vectors:
        inputs, truth = kept.inputs(vector), kept.results(vector).values["inverse/value"]["float64"]
        judge = judge_for(kept, vector)
        row = judge("inverse/value", multiplied_out(vector, inputs, dtype)["inverse/value"], truth)
        assert row.severity > 50, vector.name
        for backend in ("spec", "cpu"):
            found = evaluated_in(vector, inputs, dtype, backend).results["inverse/value"]
            assert judge("inverse/value", found, truth).passed
        y = inputs["inverse/input"].astype(dtype)[..., inputs["params/permutation"]]
        factors = inputs["params/lower_upper"].astype(dtype)
        columns = solve_triangular(factors, y.reshape(-1, y.shape[-1]).T, lower=True,
                                   unit_diagonal=True)
        found = solve_triangular(factors, columns).T.reshape(y.shape)
        assert found.dtype == dtype and judge("inverse/value", found, truth).passed


def test_parts_in_another_order_are_seen(kept):
    """Each result stands where its neighbour should."""
    def exchanged(vector, inputs):
        found = evaluate(vector, inputs)
        names = [name for name in found if re.search(r"/value/\d+$", name)]
        return {name: found[names[(k + 1) % len(names)]] for k, name in enumerate(names)}
    vectors = flagged("PartOrder")
    assert {vector.operation for vector in vectors} == {"Split", "JointMap", "AbsoluteValue"}
    assert not missed_by(kept, vectors, exchanged)


def test_pieces_that_are_joined_in_another_order_are_seen(kept):
    vector = BY_NAME["split-halves"]

    def exchanged(vector, inputs):
        pieces = {"inverse/input/0": inputs["inverse/input/1"],
                  "inverse/input/1": inputs["inverse/input/0"]}
        return {"inverse/value": evaluate(vector, inputs | pieces)["inverse/value"]}
    assert not missed_by(kept, [vector], exchanged)


def test_untouched_data_are_seen(kept):
    def untouched(vector, inputs):
        direction = vector.directions[0]
        return {f"{direction}/value": inputs[f"{direction}/input"].astype(np.float64)}
    assert not missed_by(kept, flagged("SingleChannel"), untouched)


def test_a_missing_border_or_channel_is_seen(kept):
    """Where a size is odd (of RealNVP: the parts unequal) its last row, column or channel is 0."""
    def cropped(vector, inputs):
        direction = vector.directions[0]
        x = inputs[f"{direction}/input"].copy()
        sizes = vector.event_shape
        odd = [axis for axis in range(-len(sizes), 0) if sizes[axis] % 2]
        for axis in odd or [-1]:
            np.moveaxis(x, axis, 0)[-1] = 0
        return evaluate(replace(vector, directions=(direction,)),
                        inputs | {f"{direction}/input": x})
    assert not missed_by(kept, flagged("OddSize"), cropped)


def test_a_share_that_is_rounded_to_the_nearest_is_seen(kept):
    """0.35 of 8 channels are 2 rounded down, and 3 to the nearest."""
    vector = BY_NAME["glow-exits-floor"]
    arguments = vector.arguments | {"grab_after_block": [round(0.35 * 8) / 8, 0.0]}
    with pytest.raises(ValueError, match="shape"):
        evaluate(replace(vector, arguments=arguments), kept.inputs(vector))


def test_every_flag_is_planted_somewhere_here():
    elsewhere = {"InverseDirection", "ExitFraction", "Gradient", "Overflow",
                 "LostTail", "FlushToZero", "Cancellation", "ZeroVariance", "NearSingular",
                 "SingleChannel", "OddSize", "InvertedMatrix", "PartOrder"}
    assert PLANTS.keys() | INPUTS.keys() | RESULTS.keys() | elsewhere == FLAGS.keys()
