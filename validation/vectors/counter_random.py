"""Numbers that any language makes again from a seed and a place: number k of stream `seed`.

All arithmetic is on unsigned 64-bit integers, modulo 2^64. With

    mix(z):  z ^= z >> 30;  z *= 0xBF58476D1CE4E5B9;  z ^= z >> 27;  z *= 0x94D049BB133111EB;
             z ^= z >> 31

the number is

    n = mix(mix(seed) + (k + 1) 0x9E3779B97F4A7C15) >> 40         24 bits
    u = (2 n + 1 - 2^24) / 2^24                                   in (-1, 1), never 0

u has 24 significant bits: it is a float32 number exactly, and so are its products with powers of
two. Its mean is 0, its variance 1/3. The same in C and Julia: generators/ beside this file.

Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators" (SplitMix64).
"""

from __future__ import annotations

import zlib

import numpy as np

from refglow.dtypes import Array

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def counter_random(seed: int, count: int, start: int = 0) -> Array:
    """Numbers `start` to `start + count - 1` of a stream.

    Args:
      seed: 0 to 2^64 - 1; which stream.
      count, start: which numbers.

    Returns:
      float32 [count], in (-1, 1).
    """
    places = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    bits = _mixed(_mixed(np.array([seed], np.uint64)) + places * _GAMMA) >> np.uint64(40)
    return ((2 * bits.astype(np.int64) + (1 - 2**24)) / 2.0**24).astype(np.float32)


def seed_of(name: str) -> int:
    """The seed of the stream with a name: the CRC-32 of its UTF-8 bytes."""
    return zlib.crc32(name.encode())


def _mixed(z: Array) -> Array:
    z = (z ^ (z >> np.uint64(30))) * _FACTORS[0]
    z = (z ^ (z >> np.uint64(27))) * _FACTORS[1]
    return np.asarray(z ^ (z >> np.uint64(31)))
