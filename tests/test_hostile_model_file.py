"""Model files from strangers: every damage is a ValueError or OSError that names the file.

Nothing a file declares may cost more memory or time than its own size justifies.
"""

import json
import os
import struct
import time
import tracemalloc

import numpy as np
import pytest
from fuzzing import JSON, places_in, put_together, replaced, take_apart
from hypothesis import given, settings
from hypothesis import strategies as st

import refglow as rg
from refglow.networks import Conv2D, Sequential
from refglow.validation.random_models import randomize_weights

tfb = rg.bijectors
KEY = "refglow.glow"


def network(input_shape, dtype=np.float32):
    return Sequential({"only": Conv2D(input_shape[-1], 2 * input_shape[-1], 1, dtype=dtype)})


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    """The bytes of a model file."""
    path = tmp_path_factory.mktemp("valid") / "model"
    glow = tfb.Glow((4, 2, 1), 1, 2, network, grab_after_block=(0.5,), seed=0)
    randomize_weights(glow, np.random.default_rng(0))
    rg.save(path, glow)
    return path.read_bytes()


def with_architecture(content, change):
    """The file with its architecture changed by `change`, a function of the dict or a dict."""
    header, data = take_apart(content)
    declared = json.loads(header["__metadata__"][KEY])
    declared = change(declared) if callable(change) else declared | change
    header["__metadata__"][KEY] = json.dumps(declared)
    return put_together(header, data)


def with_header(content, change):
    header, data = take_apart(content)
    change(header)
    return put_together(header, data)


def with_array(content, name, raw):
    """The file with other bytes for one array."""
    header, data = take_apart(content)
    begin, end = header[name]["data_offsets"]
    assert len(raw) == end - begin
    return put_together(header, data[:begin] + raw + data[end:])


def without(key):
    def change(entries):
        del entries[key]
        return entries
    return change


def renamed(old, new):
    def change(header):
        header[new] = header.pop(old)
    return change


def set_entry(name, **values):
    return lambda header: header[name].update(values)


def text(value):
    return lambda header: header["__metadata__"].update({KEY: value})


def coupling(description):
    return {"coupling": description}


ONLY = {"class": "Conv2D", "in_channels": 2, "filters": 4, "kernel_size": [1, 1],
        "padding": "same", "kernel_initializer": "zeros"}
SHIFT = "block0.step1.actnorm.shift"
FLAG = "block0.step0.actnorm.initialized"
PERMUTATION = "block0.step0.conv.permutation"


def relus(count):
    return {"class": "Sequential", "layers": {
        "only": ONLY, **{f"relu{k}": {"class": "ReLU"} for k in range(count)}}}


def deep(depth):
    description = {"class": "Sequential", "layers": {"only": ONLY}}
    for _ in range(depth):
        description = {"class": "Sequential", "layers": {"x": description}}
    return description


DAMAGES = {
    "empty": (lambda c: b"", "not a whole safetensors file"),
    "seven bytes": (lambda c: c[:7], "not a whole safetensors file"),
    "header only": (lambda c: c[:8 + struct.unpack("<Q", c[:8])[0]], "not a whole safetensors"),
    "half": (lambda c: c[:len(c) // 2], "not a whole safetensors file"),
    "one byte short": (lambda c: c[:-1], "not a whole safetensors file"),
    "one byte long": (lambda c: c + b"\0", "not a whole safetensors file"),
    "text": (lambda c: b"I am not a model.\n" * 50, "not a whole safetensors file"),
    "a pickle": (lambda c: b"\x80\x04\x95\x10" + bytes(100), "not a whole safetensors file"),
    "huge header": (lambda c: struct.pack("<Q", 2**62) + c[8:], "header too large"),
    "negative header": (lambda c: struct.pack("<q", -1) + c[8:], "header too large"),
    "no header": (lambda c: struct.pack("<Q", 0) + c[8:], "not a whole safetensors file"),
    "header not JSON": (lambda c: put_together(b"{not json}", b""), "not a whole safetensors file"),
    "header a list": (lambda c: put_together([], b""), "not a whole safetensors file"),
    "header deep": (lambda c: put_together(b"[" * 10**6, b""), "not a whole safetensors file"),
    "arrays overlap": (lambda c: with_header(c, set_entry(SHIFT, data_offsets=[0, 16])),
                       "not a whole safetensors file"),
    "negative shape": (lambda c: with_header(c, set_entry(SHIFT, shape=[-4])), "not a whole"),
    "vast shape": (lambda c: with_header(c, set_entry(SHIFT, shape=[2**62])), "not a whole"),

    "no metadata": (lambda c: with_header(c, without("__metadata__")), "no entry 'refglow.glow'"),
    "other metadata": (lambda c: with_header(c, lambda h: h.update(__metadata__={"format": "pt"})),
                       "no entry 'refglow.glow'"),
    "metadata not text": (lambda c: with_header(c, lambda h: h.update(__metadata__={KEY: 3})),
                          "not a whole safetensors file"),
    "not JSON": (lambda c: with_header(c, text("{")), "not valid JSON"),
    "NaN in JSON": (lambda c: with_header(c, text('{"a": NaN}')), "not valid JSON: NaN"),
    "deep JSON": (lambda c: with_header(c, text("[" * 10**5)), "not valid JSON"),
    "long number": (lambda c: with_header(c, text("1" * 10**5)), "not valid JSON"),
    "long JSON": (lambda c: with_header(c, text(" " * 2**25)), "characters; at most"),
    "JSON list": (lambda c: with_header(c, text("[]")), "not a JSON object"),
    "no version": (lambda c: with_architecture(c, without("format_version")),
                   "format_version is None"),
    "newer version": (lambda c: with_architecture(c, {"format_version": 2}), "format_version is 2"),
    "version a flag": (lambda c: with_architecture(c, {"format_version": True}),
                       "format_version is True"),
    "entry missing": (lambda c: with_architecture(c, without("name")), "must have the entries"),
    "entry unknown": (lambda c: with_architecture(c, {"os.system": "true"}), "os.system"),

    "shape a string": (lambda c: with_architecture(c, {"output_shape": "4, 2, 1"}), "output_shape"),
    "shape of floats": (lambda c: with_architecture(c, {"output_shape": [4.0, 2, 1]}),
                        "output_shape"),
    "shape of flags": (lambda c: with_architecture(c, {"output_shape": [4, 2, True]}),
                       "output_shape"),
    "shape negative": (lambda c: with_architecture(c, {"output_shape": [-4, -2, 1]}),
                       "output_shape"),
    "shape zero": (lambda c: with_architecture(c, {"output_shape": [4, 0, 1]}), "output_shape"),
    "shape vast": (lambda c: with_architecture(c, {"output_shape": [2**40, 2**40, 1]}),
                   "output_shape"),
    "channels vast": (lambda c: with_architecture(c, {"output_shape": [4, 2, 10**9]}),
                      "output_shape"),
    "channels many": (lambda c: with_architecture(c, {"output_shape": [4, 2, 10**8]}),
                      "misfit: 'block0.step0.conv.lower_upper'"),
    "blocks 10^9": (lambda c: with_architecture(c, {"num_glow_blocks": 10**9}), "num_glow_blocks"),
    "blocks 31": (lambda c: with_architecture(c, {"num_glow_blocks": 31}), "2\\^31"),
    "blocks -1": (lambda c: with_architecture(c, {"num_glow_blocks": -1}), "num_glow_blocks"),
    "blocks 1.5": (lambda c: with_architecture(c, {"num_glow_blocks": 1.5}), "num_glow_blocks"),
    "steps 10^9": (lambda c: with_architecture(c, {"num_steps_per_block": 10**9}),
                   "1000000000 steps.*the file holds 16 arrays"),
    "steps 10^4000": (lambda c: with_architecture(c, {"num_steps_per_block": 10**4000}), "steps"),
    "steps -1": (lambda c: with_architecture(c, {"num_steps_per_block": -1}), "num_steps"),
    "a step too many": (lambda c: with_architecture(c, {"num_steps_per_block": 3}),
                        "missing: 'block0.step2.actnorm.initialized'"),
    "a step too few": (lambda c: with_architecture(c, {"num_steps_per_block": 1}),
                       "unknown: 'block0.step1.actnorm.initialized'"),
    "fractions a string": (lambda c: with_architecture(c, {"grab_after_block": "0.5"}), "grab"),
    "fractions two": (lambda c: with_architecture(c, {"grab_after_block": [0.5, 0.5]}),
                      "2 fractions"),
    "fraction 2": (lambda c: with_architecture(c, {"grab_after_block": [2]}), "grab_after_block"),
    "fraction vast": (lambda c: with_architecture(c, {"grab_after_block": [10**4000]}), "grab"),
    "fraction infinite": (lambda c: with_header(c, text(
        json.dumps(json.loads(take_apart(c)[0]["__metadata__"][KEY])).replace("0.5", "1e999"))),
        "grab_after_block"),
    "actnorm a number": (lambda c: with_architecture(c, {"use_actnorm": 1}), "use_actnorm"),
    "name a list": (lambda c: with_architecture(c, {"name": []}), "name"),
    "dtype another": (lambda c: with_architecture(c, {"dtype": "float64"}),
                      r"misfit: 'block0.exit.*' is float32\[.*\], needs float64"),
    "dtype object": (lambda c: with_architecture(c, {"dtype": "object"}), "dtype"),

    "network a string": (lambda c: with_architecture(c, coupling("Conv2D")), "coupling"),
    "network of the system": (lambda c: with_architecture(c, coupling({"class": "os.system"})),
                              "'os.system' is not known; known are Conv2D"),
    "network without class": (lambda c: with_architecture(c, coupling({})), "None is not known"),
    "network too few": (lambda c: with_architecture(c, coupling([deep(0)])),
                        "lists 1 coupling networks for 2 places"),
    "network none": (lambda c: with_architecture(c, coupling([deep(0), None])), "block0.step1"),
    "network not said": (lambda c: with_architecture(c, coupling(None)), "coupling_bijector_fn"),
    "network arguments": (lambda c: with_architecture(c, coupling({"class": "ReLU", "a": 1})),
                          "ReLU must have the arguments"),
    "network size": (lambda c: with_architecture(c, coupling(ONLY | {"filters": -4})), "filters"),
    "network vast": (lambda c: with_architecture(c, coupling(ONLY | {"filters": 10**30})),
                     "unknown: 'block0.step0.coupling.only.kernel'"),
    "kernel odd": (lambda c: with_architecture(c, coupling(ONLY | {"kernel_size": [1, 1, 1]})),
                   "kernel_size"),
    "padding": (lambda c: with_architecture(c, coupling(
        {"class": "Sequential", "layers": {"only": ONLY | {"padding": "reflect"}}})), "padding"),
    "initializer": (lambda c: with_architecture(c, coupling(
        {"class": "Sequential", "layers": {"only": ONLY | {"kernel_initializer": "np"}}})),
        "kernel_initializer"),
    "network deep": (lambda c: with_architecture(c, coupling(deep(200))), "nested more than"),
    "network of air": (lambda c: with_architecture(c, coupling(relus(10**4))), "layers with only"),
    "default network vast": (lambda c: with_architecture(c, coupling(
        {"class": "GlowDefaultNetwork", "num_hidden": 10**9, "kernel_shape": 3})),
        "missing: 'block0.step0.coupling.conv1.bias'"),

    "array missing": (lambda c: with_header(c, renamed(SHIFT, "a")),
                      f"(?s)missing: '{SHIFT}'.*unknown: 'a'"),
    "array of another shape": (lambda c: with_header(c, set_entry(SHIFT, shape=[2, 2])),
                               rf"misfit: '{SHIFT}' is float32\[2, 2\], needs float32\[4\]"),
    "array of another type": (lambda c: with_header(c, set_entry(SHIFT, dtype="I32")),
                              rf"misfit: '{SHIFT}' is int32\[4\], needs float32\[4\]"),
    "array of a foreign type": (lambda c: with_header(c, set_entry(SHIFT, dtype="BF16",
                                                                   shape=[8])),
                                rf"misfit: '{SHIFT}' is BF16\[8\], needs float32\[4\]"),
    "flag neither": (lambda c: with_array(c, FLAG, b"\x07"), "neither 0 nor 1"),
    "permutation repeats": (lambda c: with_array(c, PERMUTATION, np.int32([0, 1, 1, 3]).tobytes()),
                            "permutation must hold each of"),
    "permutation outside": (lambda c: with_array(c, PERMUTATION,
                                                 np.int32([0, 1, -2**31, 3]).tobytes()),
                            "permutation must hold each of"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(damage, valid, tmp_path):
    change, message = DAMAGES[damage]
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(change(valid))
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            rg.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 20_000
    assert peak < 1e6 + 40 * path.stat().st_size  # 40 for JSON objects of a few letters each
    assert time.process_time() - began < 5


def test_undamaged(valid, tmp_path):
    """The tools above are not what is refused."""
    path = tmp_path / "whole"
    for content in [valid, put_together(*take_apart(valid)), with_architecture(valid, {}),
                    with_architecture(valid, coupling(relus(3))),
                    with_array(valid, PERMUTATION, np.int32([3, 1, 0, 2]).tobytes())]:
        path.write_bytes(content)
        rg.load(path)


def test_a_truncated_file_at_every_length(valid, tmp_path):
    path = tmp_path / "part"
    for size in range(0, len(valid), 37):
        path.write_bytes(valid[:size])
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            rg.load(path)


def test_every_missing_and_extra_name_is_listed(valid, tmp_path):
    header, data = take_apart(valid)
    moved = [name for name in header if "step1" in name]
    for name in moved:
        renamed(name, "stray" + name)(header)
    path = tmp_path / "mislabelled"
    path.write_bytes(put_together(header, data))
    with pytest.raises(ValueError, match="arrays are not those") as caught:
        rg.load(path)
    assert len(moved) == 7
    for name in moved:
        assert f"missing: '{name}'" in str(caught.value)
        assert f"unknown: 'stray{name}'" in str(caught.value)


def test_a_missing_file_a_directory_a_pipe(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        rg.load(tmp_path / "absent")
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        rg.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"not a regular file.*pipe"):
        rg.load(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(valid, tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(valid)
    path.chmod(0)
    with pytest.raises(PermissionError, match="secret"):
        rg.load(path)


# ---- random damage -----------------------------------------------------------------------------

def loads_whole_or_refuses(path, content):
    """Load `content`; if that works, the model is whole; if not, the error names the file."""
    path.write_bytes(content)
    glow, refusal = None, str(path)
    try:
        glow = rg.load(path)
    except (ValueError, OSError) as error:
        refusal = str(error)
    assert str(path) in refusal
    if glow is None:
        return
    expected = {variable.name: variable.shape for variable in glow.variables}
    assert {name: array.shape for name, array in glow.state_dict().items()} == expected
    assert len(expected) == len([k for k in take_apart(content)[0] if k != "__metadata__"])
    h, w, c = glow.parameters["output_shape"]
    assert tuple(glow.inverse_event_shape((h, w, c))) == (h * w * c,)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "model"


@settings(max_examples=300)
@given(data=st.data())
def test_random_bytes_anywhere(data, valid, scratch):
    content = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 12))
        content[begin:begin + length] = data.draw(st.binary(max_size=12))
    loads_whole_or_refuses(scratch, bytes(content))


@settings(max_examples=200)
@given(data=st.data())
def test_random_bytes_of_the_same_length_in_the_header(data, valid, scratch):
    """The lengths stay right, so most of these get past the outermost check."""
    content = bytearray(valid)
    size, = struct.unpack("<Q", content[:8])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(8, 8 + size - 1))] = data.draw(
            st.sampled_from(b'0123456789"{}[],:.-eE abcFI\\\x00\xff'))
    loads_whole_or_refuses(scratch, bytes(content))


@settings(max_examples=300)
@given(data=st.data())
def test_random_architectures(data, valid, scratch):
    def change(declared):
        place = data.draw(st.sampled_from(sorted(places_in(declared), key=str)))
        return replaced(declared, place, data.draw(JSON))
    loads_whole_or_refuses(scratch, with_architecture(valid, change))


@settings(max_examples=200)
@given(data=st.data())
def test_random_headers(data, valid, scratch):
    header, arrays = take_apart(valid)
    place = data.draw(st.sampled_from(sorted(places_in(header), key=str)))
    loads_whole_or_refuses(scratch, put_together(replaced(header, place, data.draw(JSON)), arrays))
