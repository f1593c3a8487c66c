"""The counts that decide a kernel's speed."""

from __future__ import annotations

from dataclasses import dataclass, field

from refglow.kernels.ptx.syntax import Instruction

_CONVERSION = {"cvt", "cvta"}
_SPECIAL = {"ex2", "lg2", "sin", "cos", "tanh", "rsqrt", "rcp", "sqrt"}
_SHUFFLE = {"shfl", "vote", "match", "activemask", "redux"}
_BARRIER = {"bar", "barrier"}
_FENCE = {"membar", "fence"}
_MOVE = {"mov", "selp", "slct"}
_CONTROL = {"bra", "ret", "exit", "trap"}
_FLOATS = ("f64", "f32", "bf16x2", "f16x2", "bf16", "f16")


def kind_of(instruction: Instruction) -> str:
    """The kind that an instruction is counted under, such as "fma.f32" or "load.global"."""
    opcode, modifiers = instruction.opcode, instruction.modifiers
    if opcode in ("ld", "ldu", "st", "atom", "red"):
        space = next(
            (m for m in modifiers if m in ("global", "shared", "local", "param", "const")),
            "generic",
        )
        name = {"ld": "load", "ldu": "load", "st": "store"}.get(opcode, "atomic")
        return f"{name}.{space}"
    for kind, opcodes in (
        ("conversion", _CONVERSION),
        ("barrier", _BARRIER),
        ("shuffle", _SHUFFLE),
        ("fence", _FENCE),
        ("move", _MOVE),
        ("branch", _CONTROL),
        ("compare", {"setp", "testp"}),
    ):
        if opcode in opcodes:
            return kind
    number = next((m for m in modifiers if m in _FLOATS), None)
    if number is None:
        return "integer"
    if opcode in _SPECIAL and "approx" in modifiers:
        return f"special.{number}"
    name = {"mad": "fma", "sub": "add"}.get(opcode, opcode)
    return f"{name}.{number}" if name in ("fma", "add", "mul", "div") else f"other.{number}"


@dataclass
class Traffic:
    """Global-memory accesses of one direction to one array, or to all.

    Attributes:
        requests: warp-level instructions.
        threads: accesses of single threads.
        bytes_requested: the sum of all threads' access sizes.
        sectors: 32-byte sectors that the requests touch, each counted once per request.
        unique_bytes: bytes touched at all: the least that could be moved.
    """

    requests: int = 0
    threads: int = 0
    bytes_requested: int = 0
    sectors: int = 0
    unique_bytes: int = 0

    @property
    def ideal_sectors(self) -> float:
        """bytes_requested / 32."""
        return self.bytes_requested / 32

    @property
    def sectors_per_request(self) -> float:
        """Mean sectors touched by a request; 4 for 32 consecutive 4-byte words."""
        return self.sectors / self.requests if self.requests else 0.0

    @property
    def sector_bytes(self) -> int:
        """Bytes in the sectors touched."""
        return 32 * self.sectors

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.requests + other.requests,
            self.threads + other.threads,
            self.bytes_requested + other.bytes_requested,
            self.sectors + other.sectors,
            self.unique_bytes + other.unique_bytes,
        )


@dataclass
class SharedTraffic:
    """Shared-memory accesses.

    Attributes:
        requests: warp-level instructions.
        wavefronts: passes that they take.
        ideal_wavefronts: passes that they would take without bank conflicts.
        worst_ways: the most passes over the fewest possible that one request took.
    """

    requests: int = 0
    wavefronts: int = 0
    ideal_wavefronts: int = 0
    worst_ways: float = 0.0

    @property
    def conflicts(self) -> int:
        """Passes beyond the fewest possible."""
        return self.wavefronts - self.ideal_wavefronts


@dataclass
class Counts:
    """Everything counted in one launch.

    Attributes:
        threads: threads launched.
        thread_instructions: executed by all threads; predicated-off lanes are not counted.
        warp_instructions: issued to warps, with any lane active.
        by_kind: thread instructions by `kind_of`.
        loads, stores, atomics: global-memory traffic by array name.
        shared_loads, shared_stores: shared-memory traffic.
        local_accesses: thread-level loads and stores of local memory.
        branches, divergent_branches: warp-level conditional branches, and those whose lanes part.
        predicated: per program counter, the lanes that executed a predicated instruction.
    """

    threads: int = 0
    thread_instructions: int = 0
    warp_instructions: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    loads: dict[str, Traffic] = field(default_factory=dict)
    stores: dict[str, Traffic] = field(default_factory=dict)
    atomics: dict[str, Traffic] = field(default_factory=dict)
    shared_loads: SharedTraffic = field(default_factory=SharedTraffic)
    shared_stores: SharedTraffic = field(default_factory=SharedTraffic)
    local_accesses: int = 0
    branches: int = 0
    divergent_branches: int = 0
    predicated: dict[int, int] = field(default_factory=dict, repr=False)

    def per_thread(self, kind: str) -> float:
        """The instructions of a kind per launched thread."""
        return self.by_kind.get(kind, 0) / self.threads if self.threads else 0.0

    def total(self, by_array: dict[str, Traffic]) -> Traffic:
        """The traffic of all arrays together; `by_array` is loads, stores or atomics."""
        return sum(by_array.values(), Traffic())

    def floating_point_operations(self, number: str) -> int:
        """The additions and multiplications in the type `number`, "f32" or "f64"; an fma is two."""
        return sum(
            weight * self.by_kind.get(f"{name}.{number}", 0)
            for name, weight in (("fma", 2), ("add", 1), ("mul", 1), ("div", 1))
        )
