"""PTX text: what is read, and that nothing unknown is ever skipped."""

import numpy as np
import pytest

from refglow.kernels.ptx import Module, Pointer, PtxError, compile_kernel, examine, run

HEADER = ".version 8.0\n.target sm_80\n.address_size 64\n"


def kernel_text(body: str) -> str:
    return (
        HEADER
        + ".visible .entry k(.param .u64 out)\n{\n"
        + ".reg .b16 %h<9>; .reg .b32 %r<9>; .reg .f32 %f<9>; .reg .f64 %d<9>; .reg .b64 %q<9>;\n"
        + f".reg .pred %p<9>;\n{body}\nret;\n}}\n"
    )


def outcome(body: str, size: int = 4, dtype: type = np.uint32) -> np.ndarray:
    """What one thread leaves in `out` (%q1)."""
    out = np.zeros(size, dtype)
    text = kernel_text("ld.param.u64 %q1, [out];\n" + body)
    run(Module.parse(text).kernel(), 1, 1, [Pointer(out)])
    return out


@pytest.mark.parametrize(
    ("instruction", "complaint"),
    [
        ("frobnicate.b32 %r1, %r2;", "not known"),
        ("add.rn.ftz.frob.f32 %f1, %f1, %f2;", "frob"),
        ("add.ftz.f64 %d1, %d1, %d1;", "do not go with"),
        ("mul.s32 %r1, %r1, %r2;", "lo, hi, wide"),
        ("fma.rn.s32 %r1, %r1, %r1, %r1;", "not known"),
        ("cvt.f32.f64 %f1, %d1;", "rounding mode"),
        ("cvt.s32.f32 %r1, %f1;", "rni"),
        ("prmt.b32.f4e %r1, %r1, %r2, %r3;", "f4e"),
        ("shfl.up.b32 %r1, %r2, 1, 0;", "sync"),
        ("mov.u32 %r1, %clock;", "clock"),
        ("mov.u32 %r1, %nonsense;", "nonsense"),
        ("mov.u32 %r1, nowhere;", "nowhere"),
        ("ld.global.v8.f32 {%f1, %f2}, [%q1];", "v8"),
        ("ld.global.v2.f32 {%f1, %f2, %f3}, [%q1];", "3 registers for 2"),
        ("st.const.u32 [%q1], %r1;", "cannot store"),
        ("atom.global.add.s16 %h1, [%q1], %h2;", "s16"),
        ("bar.arrive 0, 64;", "needs one of sync"),
        ("@%p1 bar.sync 0;", "predicated"),
        ("bra $nowhere;", "no label"),
        ("call missing, ();", "no function"),
        ("ex2.rn.f32 %f1, %f2;", "approx"),
        ("sin.approx.f64 %d1, %d1;", "no such form"),
        ("selp.b32 %f1, %q1, %r1, %h1;", "cannot read"),
        ("mov.u64 %r1, %q1;", "does not fit"),
        ("add.f64 %d1, %d2, %f1;", "cannot read"),
    ],
)
def test_unknown_instructions_and_modifiers_name_their_line(
    instruction: str, complaint: str
) -> None:
    with pytest.raises(PtxError, match=complaint) as caught:
        examine(Module.parse(kernel_text(instruction)).kernel(), 1, 32, [Pointer(np.zeros(1))])
    assert "PTX line 8: " in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (HEADER + "nonsense;", "line 4.*nonsense"),
        (HEADER + ".surfref s;", "line 4.*surfref"),
        (HEADER.replace("64", "32"), "64-bit addresses"),
        (HEADER + ".visible .entry k() { .reg .b32 %r<2> }", "line 4.*expected"),
        (HEADER + ".visible .entry k() { .reg .q32 %r<2>; }", "line 4.*q32"),
        (HEADER + ".visible .entry k() { .frob 3; ret; }", "line 4.*frob"),
        (HEADER + ".visible .entry k() { mov.u32 %r1, ~3; }", "line 4.*'~'"),
        (HEADER + ".visible .entry k() { .reg .b32 %r<2>; @%r1 ret; }", "not a predicate"),
        (HEADER + ".global .f16 x[2] = {0f00000000, 1};", "initial value"),
    ],
)
def test_text_that_is_not_ptx_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(PtxError, match=complaint):
        Module.parse(text)


def test_a_kernel_must_be_there() -> None:
    with pytest.raises(PtxError, match=r"no kernel 'other'.*'k'"):
        Module.parse(kernel_text("")).kernel("other")


def test_inner_scopes_have_registers_of_their_own() -> None:
    body = """mov.u32 %r1, 1;
    { .reg .b32 %r1, t; mov.u32 %r1, 5; add.u32 t, %r1, 1; st.global.u32 [%q1+4], t; }
    { .reg .b32 t; mov.u32 t, 9; st.global.u32 [%q1 + 8], t; }
    st.global.u32 [%q1], %r1;"""
    assert outcome(body).tolist() == [1, 6, 9, 0]


def test_comments_constants_and_negated_predicates() -> None:
    body = """/* st.global.u32 [%q1], 1;
    */ setp.eq.u32 %p1, 1, 0x2; // never
    @!%p1 st.global.u32 [%q1], 0x10U;
    @%p1 st.global.u32 [%q1+4], 1;
    mov.b32 %f1, 0f40490FDB; st.global.f32 [%q1+8], %f1;
    mov.u32 %r1, -1; st.global.u32 [%q1+12], %r1;"""
    assert outcome(body).tolist() == [16, 0, 0x40490FDB, 0xFFFFFFFF]


def test_packing_and_unpacking() -> None:
    body = """mov.b64 %q2, {3, 4}; mov.b64 {%r1, %r2}, %q2; add.u32 %r3, %r1, %r2;
    mov.b32 {%h1, %h2}, 0x00050007; mov.b32 %r4, {%h2, %h1};
    st.global.v4.u32 [%q1], {%r1, %r2, %r3, %r4};"""
    assert outcome(body, size=64)[:4].tolist() == [3, 4, 7, 0x00070005]


FUNCTIONS = (
    HEADER
    + """
.func (.param .b32 result) twice_plus(.param .b32 x, .param .b64 y);
.global .align 8 .b8 table[16] = {1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4};
.const .align 4 .u32 seven = 7;
.visible .entry k(.param .u64 out) {
.reg .b32 %r<9>; .reg .b64 %q<9>; .reg .pred %p<2>;
ld.param.u64 %q1, [out];
mov.u32 %r1, %tid.x;
mul.wide.u32 %q3, %r1, 4;
mov.u64 %q2, table;
add.u64 %q2, %q2, %q3;
ld.global.nc.u32 %r2, [%q2];
{ .param .b32 a; st.param.b32 [a+0], %r2;
  .param .b64 b; st.param.b64 [b+0], 100;
  .param .b32 r;
  call.uni (r), twice_plus, (a, b);
  ld.param.b32 %r3, [r+0]; }
{ .param .b32 a; st.param.b32 [a+0], %r3;
  .param .b64 b; st.param.b64 [b+0], 1000;
  .param .b32 r;
  call.uni (r), twice_plus, (a, b);
  ld.param.b32 %r3, [r+0]; }
ld.const.u32 %r4, [seven];
add.u32 %r3, %r3, %r4;
add.u64 %q1, %q1, %q3;
st.global.u32 [%q1], %r3;
ret;
}
.func (.param .b32 result) twice_plus(.param .b32 x, .param .b64 y) {
.reg .b32 %r<5>; .reg .b64 %q<3>; .reg .pred %p<2>;
ld.param.b32 %r1, [x]; ld.param.b64 %q1, [y];
setp.eq.u32 %p1, %r1, 2;
@%p1 bra $odd;
shl.b32 %r2, %r1, 1;
cvt.u32.u64 %r3, %q1;
add.u32 %r2, %r2, %r3;
st.param.b32 [result+0], %r2;
ret;
$odd:
st.param.b32 [result+0], 0;
ret;
}
"""
)


def test_device_functions_variables_and_constants() -> None:
    out = np.zeros(4, np.uint32)
    run(Module.parse(FUNCTIONS).kernel(), 1, 4, [Pointer(out)])
    expected = [0 if v == 2 else 2 * v + 100 for v in (1, 2, 3, 4)]
    assert out.tolist() == [2 * e + 1000 + 7 for e in expected]


def test_recursion_and_missing_bodies_are_refused() -> None:
    missing = FUNCTIONS[: FUNCTIONS.rindex(".func")]
    with pytest.raises(PtxError, match="twice_plus, whose body is not in this PTX"):
        Module.parse(missing).kernel()
    again = FUNCTIONS.replace("shl.b32 %r2, %r1, 1;", "call.uni (result), twice_plus, (x, y);")
    with pytest.raises(PtxError, match="calls itself"):
        Module.parse(again).kernel()


def nothing(x, y) -> None:  # type: ignore[no-untyped-def]
    pass


def test_arguments_that_do_not_fit_are_refused() -> None:
    from numba import float32, int32

    kernel = compile_kernel(nothing, (float32[::1], int32))
    x = np.zeros(3, np.float32)
    for arguments, complaint in [
        ((x,), "left over"),
        ((x, 1, 2), "need more than"),
        ((x[None], 1), "need more than"),
        ((x.astype(np.float64), 1), "must be an array of float32, not float64"),
        ((x, 1.5), "integer parameter"),
        ((x, 2**40), "does not fit"),
        ((x, "text"), "str 'text'"),
    ]:
        with pytest.raises(PtxError, match=complaint):
            examine(kernel, 1, 1, arguments, names=[f"a{i}" for i in range(len(arguments))])
    for grid, block, complaint in [(0, 1, "positive"), (1, 2000, "1024"), ((1,) * 4, 1, "one to")]:
        with pytest.raises(PtxError, match=complaint):
            examine(kernel, grid, block, (x, 1))
    with pytest.raises(PtxError, match="uninitialised"):
        examine(kernel, 1, 1, (x, 1), uninitialised=["z"])
    with pytest.raises(PtxError, match="1 names"):
        examine(kernel, 1, 1, (x, 1), names=["x"])
