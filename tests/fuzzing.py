"""What damaged files of strangers look like: safetensors files taken apart, bytes and JSON changed.

Every reader's contract is one: a right result, or a ValueError or OSError that names the file; in
little time and memory. Longer campaigns: REFGLOW_FUZZ=100 pytest -k fuzzed takes 100 times as many
examples.
"""

import json
import os
import struct

from hypothesis import settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("REFGLOW_FUZZ", "1"))
WORDS = ["", "a.b", "class", "../../etc/passwd", "/dev/zero", "\ud800", "\x1b[2J", "x" * 2000,
         "float64", "F64", "BF16", "Conv2D", "ReLU", "forward"]
NUMBERS = [0, 1, 2, -1, 4, 255, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**9, 10**30, 0.5, 1e308]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([*WORDS, *NUMBERS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["class", "layers", "filters", "name", "shape", *WORDS[:6]]), inner,
        max_size=3), max_leaves=5)


def fuzzed(examples):
    """Hypothesis' settings for this many examples."""
    return settings(max_examples=TIMES * examples)


# ---- safetensors files ---------------------------------------------------------------------------


def take_apart(content):
    """(header, data) of a safetensors file."""
    size, = struct.unpack("<Q", content[:8])
    return json.loads(content[8:8 + size]), content[8 + size:]


def put_together(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


# ---- JSON ----------------------------------------------------------------------------------------


def places_in(value, place=()):
    yield place
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places_in(value[key], (*place, key))


def at(value, place):
    for key in place:
        value = value[key]
    return value


def replaced(value, place, new):
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = replaced(value[place[0]], place[1:], new)
    return copy


@st.composite
def changed_values(draw, value):
    """The value with one or two of its parts replaced, left out, exchanged, repeated or nested."""
    for _ in range(draw(st.integers(1, 2))):
        places = sorted(places_in(value), key=str)
        place = draw(st.sampled_from(places))
        old = at(value, place)
        how = draw(st.integers(0, 5))
        if how == 1 and isinstance(old, (dict, list)) and old:
            kept = list(old)[:-1]
            new = {key: old[key] for key in kept} if isinstance(old, dict) else kept
        elif how == 2:
            new = at(value, draw(st.sampled_from(places)))
        elif how == 3 and isinstance(old, list):
            new = old * draw(st.sampled_from([2, 100]))
        elif how == 4 and isinstance(old, dict):
            new = old | {draw(st.sampled_from(WORDS)): draw(JSON)}
        elif how == 5:
            new = nested(old, draw(st.sampled_from([1, 3, 40])))
        else:
            new = draw(JSON)
        value = replaced(value, place, new)
    return value


def nested(value, depth):
    for _ in range(depth):
        value = [value]
    return value


@st.composite
def changed_texts(draw, value):
    """JSON of a changed value; sometimes no JSON any more, or with a key twice, or very deep."""
    text = json.dumps(draw(changed_values(value)))
    how = draw(st.integers(0, 11))
    if how == 0:
        text = text.replace("{", '{"a": 1, "a": 2, ', 1)
    elif how == 1:
        other = draw(st.sampled_from(["NaN", "-Infinity", "1e999", "9" * 5000]))
        text = text.replace("1", other, 1)
    elif how == 2:
        text = draw(damaged(text.encode())).decode("latin1")
    elif how == 3:
        text = text.replace("[", "[" * 10**5, 1)
    return text


# ---- bytes ---------------------------------------------------------------------------------------


@st.composite
def damaged(draw, content, near=400):
    """The bytes with one to three places changed, the first `near` ones more often than others."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        end = len(changed)
        place = draw(st.integers(0, min(near, end)) | st.integers(0, end))
        how = draw(st.integers(0, 5))
        if how == 0 and place < end:
            changed[place] ^= 1 << draw(st.integers(0, 7))
        elif how == 1:
            del changed[place:place + draw(st.integers(1, 16))]
        elif how == 2:
            changed[place:place] = draw(st.binary(min_size=1, max_size=8))
        elif how == 3:
            source = draw(st.integers(0, end))
            changed[place:place] = changed[source:source + draw(st.integers(1, 64))]
        elif how == 4:
            del changed[place:]
        else:
            width = draw(st.sampled_from([1, 2, 4, 8]))
            number = int(draw(st.sampled_from(NUMBERS))) % 2**(8 * width)
            changed[place:place + width] = number.to_bytes(width, draw(
                st.sampled_from(["little", "big"])))
    return bytes(changed)


@st.composite
def damaged_safetensors(draw, content, key=None):
    """A safetensors file with other bytes, another header, or another text in its metadata.

    Args:
      content: the whole file's bytes.
      key: of JSON in the metadata; None if there is none.
    """
    how = draw(st.integers(0, 3 if key else 1))
    if how == 0:
        return draw(damaged(content))
    header, data = take_apart(content)
    if how == 1:
        return put_together(draw(changed_texts(header)).encode(), data)
    header["__metadata__"][key] = draw(changed_texts(json.loads(header["__metadata__"][key])))
    return put_together(header, data)


def result_or_refusal(path, read):
    """What `read` returns, or None if it refuses the file with an error that names it."""
    found, said = None, os.path.basename(path)
    try:
        found = read()
    except (ValueError, OSError) as error:
        said = str(error)
    assert os.path.basename(path) in said
    assert len(said) < 20_000
    return found
