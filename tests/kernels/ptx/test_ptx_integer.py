"""Integer instructions against Python's integers."""

import numpy as np
import pytest
from ptx_single import evaluate

RNG = np.random.default_rng(3)
EDGES = [0, 1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF,
         0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF, 0x123456789, 2**63 - 1,
         2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1]


def bits(width: int, count: int = 400) -> np.ndarray:
    """Random bits, and all pairs of edges among the first rows when shuffled twice."""
    edges = np.array([e & (2**width - 1) for e in EDGES], np.uint64)
    random = RNG.integers(0, 2**width - 1, count, dtype=np.uint64, endpoint=True)
    values = np.concatenate([edges, random])
    RNG.shuffle(values)
    return values.astype(f"u{width // 8}")


def signed(value: int, width: int) -> int:
    value &= 2**width - 1
    return value - 2**width if value >> (width - 1) else value


def truncated_division(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


BINARY = {
    "add": lambda a, b, w: a + b,
    "sub": lambda a, b, w: a - b,
    "mul.lo": lambda a, b, w: a * b,
    "mul.hi": lambda a, b, w: (a * b) >> w,
    "div": lambda a, b, w: truncated_division(a, b) if b else -1,
    "rem": lambda a, b, w: a - b * truncated_division(a, b) if b else a,
    "min": lambda a, b, w: min(a, b),
    "max": lambda a, b, w: max(a, b),
}


@pytest.mark.parametrize("kind", ["s16", "u16", "s32", "u32", "s64", "u64"])
@pytest.mark.parametrize("opcode", BINARY)
def test_binary(opcode: str, kind: str) -> None:
    width = int(kind[1:])
    a, b = bits(width), bits(width)
    (w,) = evaluate(f"{opcode}.{kind} %w, %a, %b;", [a, b], f"b{width}")
    read = signed if kind[0] == "s" else lambda value, width: value
    expected = [
        BINARY[opcode](read(int(x), width), read(int(y), width), width) & (2**width - 1)
        for x, y in zip(a, b, strict=True)
    ]
    assert w.tolist() == expected


@pytest.mark.parametrize("kind", ["s16", "u16", "s32", "u32"])
def test_wide_product_and_sum(kind: str) -> None:
    width = int(kind[1:])
    a, b, c = bits(width), bits(width), bits(2 * width)
    body = f"mul.wide.{kind} %w, %a, %b; mad.wide.{kind} %x, %a, %b, %c;"
    w, x = evaluate(body, [a, b, c], f"b{2 * width}", f"b{2 * width}")
    read = signed if kind[0] == "s" else lambda value, width: value
    products = [read(int(p), width) * read(int(q), width) for p, q in zip(a, b, strict=True)]
    mask = 2 ** (2 * width) - 1
    assert w.tolist() == [p & mask for p in products]
    assert x.tolist() == [(p + int(r)) & mask for p, r in zip(products, c, strict=True)]


@pytest.mark.parametrize("width", [16, 32, 64])
def test_shift_amounts_are_clamped(width: int) -> None:
    a, b = bits(width), bits(32)
    b[::2] %= 80
    body = f"shl.b{width} %w, %a, %b; shr.u{width} %x, %a, %b; shr.s{width} %y, %a, %b;"
    w, x, y = evaluate(body, [a, b], *[f"b{width}"] * 3)
    mask = 2**width - 1
    for value, n, left, right, arithmetic in zip(*(v.tolist() for v in (a, b, w, x, y)),
                                                 strict=True):
        n = min(n, width)
        assert left == value << n & mask
        assert right == value >> n
        assert arithmetic == signed(value, width) >> n & mask


@pytest.mark.parametrize("width", [32, 64])
def test_bit_counts(width: int) -> None:
    a = bits(width)
    body = f"""popc.b{width} %w, %a; clz.b{width} %x, %a; brev.b{width} %y, %a;
               bfind.u{width} %z, %a;"""
    w, x, y, z = evaluate(body, [a], "b32", "b32", f"b{width}", "b32")
    for value, ones, zeros, reverse, top in zip(*(v.tolist() for v in (a, w, x, y, z)),
                                                strict=True):
        assert ones == value.bit_count()
        assert zeros == width - value.bit_length()
        assert reverse == int(f"{value:0{width}b}"[::-1], 2)
        assert top == (value.bit_length() - 1) & 0xFFFFFFFF


def test_signed_bfind_and_shift_amount() -> None:
    a = bits(32)
    w, x = evaluate("bfind.s32 %w, %a; bfind.shiftamt.u32 %x, %a;", [a], "b32", "b32")
    for value, top, shift in zip(a.tolist(), w.tolist(), x.tolist(), strict=True):
        magnitude = ~value & 0xFFFFFFFF if value >> 31 else value
        assert top == (magnitude.bit_length() - 1) & 0xFFFFFFFF
        assert shift == (32 - value.bit_length() if value else 0xFFFFFFFF)


@pytest.mark.parametrize("width", [32, 64])
def test_bit_fields(width: int) -> None:
    a, b = bits(width), bits(width)
    c, d = (RNG.integers(0, 300, a.size).astype(np.uint32) for _ in range(2))
    c[::2] %= width
    d[::2] %= width
    body = f"""bfe.u{width} %w, %a, %c, %d; bfe.s{width} %x, %a, %c, %d;
               bfi.b{width} %y, %a, %b, %c, %d;"""
    w, x, y = evaluate(body, [a, b, c, d], *[f"b{width}"] * 3)
    mask = 2**width - 1
    rows = zip(*(v.tolist() for v in (a, b, c, d, w, x, y)), strict=True)
    for value, base, position, length, unsigned, extended, inserted in rows:
        position, length = position & 255, length & 255
        field = value >> position & ((1 << length) - 1)
        assert unsigned == field
        top = min(position + length - 1, width - 1)
        negative = length > 0 and value >> top & 1
        filled = field | (mask & ~((1 << length) - 1)) if negative else field
        assert extended == filled
        kept = mask & ~(((1 << length) - 1) << position)
        assert inserted == (base & kept | value << position & mask & ~kept)


def test_carry_chains_add_multiply_and_subtract_128_bits() -> None:
    a, b, c, d = (bits(64) for _ in range(4))
    body = """add.cc.u64 %w, %a, %c; addc.u64 %x, %b, %d;
              sub.cc.u64 %y, %a, %c; subc.u64 %z, %b, %d;"""
    w, x, y, z = evaluate(body, [a, b, c, d], *["b64"] * 4)
    for p, q, r, s, *got in zip(*(v.tolist() for v in (a, b, c, d, w, x, y, z)), strict=True):
        total = (p + (q << 64)) + (r + (s << 64))
        difference = (p + (q << 64)) - (r + (s << 64))
        assert got[0] + (got[1] << 64) == total & (2**128 - 1)
        assert got[2] + (got[3] << 64) == difference & (2**128 - 1)


def test_a_carry_can_come_from_the_carry_itself() -> None:
    a, b, c = bits(32), bits(32), bits(32)
    body = """add.cc.u32 %w, %a, %a; not.b32 %x, %b; addc.cc.u32 %x, %x, %b; addc.u32 %y, %c, 0;
              sub.cc.u32 %z, %a, %b; subc.cc.u32 %z, %c, %c; subc.u32 %z, 0, 0;"""
    w, x, y, z = evaluate(body, [a, b, c], *["b32"] * 4)
    for p, q, r, *got in zip(*(v.tolist() for v in (a, b, c, w, x, y, z)), strict=True):
        total = 2 * p + ((2**32 - 1) << 32) + (r << 64)
        assert got[0] + (got[1] << 32) + (got[2] << 64) == total & (2**96 - 1)
        assert got[3] == (0xFFFFFFFF if p < q else 0)


def test_multiply_add_with_carry() -> None:
    a, b, c, d = (bits(32) for _ in range(4))
    body = "mad.lo.cc.u32 %w, %a, %b, %c; madc.hi.u32 %x, %a, %b, %d;"
    w, x = evaluate(body, [a, b, c, d], "b32", "b32")
    for p, q, r, s, low, high in zip(*(v.tolist() for v in (a, b, c, d, w, x)), strict=True):
        assert low + (high << 32) == (p * q + r + (s << 32)) & (2**64 - 1)


def test_permute_bytes_and_funnel_shifts() -> None:
    a, b, c = bits(32), bits(32), bits(32)
    c[::2] %= 40
    body = """prmt.b32 %w, %a, %b, %c; shf.l.wrap.b32 %x, %a, %b, %c;
              shf.r.clamp.b32 %y, %a, %b, %c;"""
    w, x, y = evaluate(body, [a, b, c], *["b32"] * 3)
    for low, high, control, permuted, left, right in zip(
        *(v.tolist() for v in (a, b, c, w, x, y)), strict=True
    ):
        both = low | high << 32
        expected = 0
        for place in range(4):
            choice = control >> 4 * place & 15
            byte = both >> 8 * (choice & 7) & 255
            if choice & 8:
                byte = 255 if byte & 128 else 0
            expected |= byte << 8 * place
        assert permuted == expected
        assert left == both << (control & 31) >> 32 & 0xFFFFFFFF
        assert right == both >> min(control, 32) & 0xFFFFFFFF


@pytest.mark.parametrize("table", [0x00, 0x1B, 0x80, 0x96, 0xE8, 0xFE, 0xFF])
def test_lop3_follows_its_truth_table(table: int) -> None:
    a, b, c = bits(32), bits(32), bits(32)
    (w,) = evaluate(f"lop3.b32 %w, %a, %b, %c, {table};", [a, b, c], "b32")
    for p, q, r, got in zip(a.tolist(), b.tolist(), c.tolist(), w.tolist(), strict=True):
        expected = 0
        for bit in range(32):
            row = (p >> bit & 1) << 2 | (q >> bit & 1) << 1 | (r >> bit & 1)
            expected |= (table >> row & 1) << bit
        assert got == expected


def test_logic_sign_and_saturation() -> None:
    a, b = bits(32), bits(32)
    body = "and.b32 %w, %a, %b; not.b32 %x, %b; abs.s32 %y, %a; add.sat.s32 %z, %a, %b;"
    w, x, y, z = evaluate(body, [a, b], *["b32"] * 4)
    assert (w == (a & b)).all() and (x == ~b).all()
    assert (y == np.abs(a.view(np.int32)).view(np.uint32)).all()
    total = a.view(np.int32).astype(np.int64) + b.view(np.int32)
    assert (z.view(np.int32) == np.clip(total, -(2**31), 2**31 - 1)).all()


@pytest.mark.parametrize("kind", ["s32", "u32", "s64", "u16"])
def test_comparisons_and_selection(kind: str) -> None:
    width = int(kind[1:])
    a, b = bits(width), bits(width)
    b[::5] = a[::5]
    read = signed if kind[0] == "s" else lambda value, width: value
    compare = {"eq": "__eq__", "ne": "__ne__", "lt": "__lt__", "le": "__le__", "gt": "__gt__",
               "ge": "__ge__"}
    for name, method in compare.items():
        body = f"""setp.{name}.{kind} %p1|%p2, %a, %b;
                   selp.u32 %w, 5, 7, %p1; selp.u32 %x, 5, 7, %p2;"""
        w, x = evaluate(body, [a, b], "b32", "b32")
        held = [getattr(read(p, width), method)(read(q, width))
                for p, q in zip(a.tolist(), b.tolist(), strict=True)]
        assert w.tolist() == [5 if h else 7 for h in held]
        assert x.tolist() == [7 if h else 5 for h in held]
