"""Where lanes meet again, and what barriers and calls do to that order."""

import numpy as np

from refglow.kernels.ptx import Module, Pointer, run

HEADER = ".version 8.0\n.target sm_80\n.address_size 64\n"

IF_ELSE = (
    HEADER
    + """
.visible .entry k(.param .u64 out) {
.reg .b32 %r<9>; .reg .b64 %q<9>; .reg .pred %p<2>;
ld.param.u64 %q1, [out];
mov.u32 %r1, %tid.x;
mul.wide.u32 %q2, %r1, 8;
add.u64 %q1, %q1, %q2;
and.b32 %r2, %r1, 3;
setp.eq.u32 %p1, %r2, 0;
@%p1 bra $then;
activemask.b32 %r3;
bra $join;
$then:
activemask.b32 %r3;
$join:
activemask.b32 %r4;
st.global.v2.u32 [%q1], {%r3, %r4};
ret;
}
"""
)


def test_lanes_meet_after_a_branch() -> None:
    out = np.zeros((64, 2), np.uint32)
    report = run(Module.parse(IF_ELSE).kernel(), 1, 64, [Pointer(out)])
    fours = np.arange(64) % 4 == 0
    assert (out[:, 0] == np.where(fours, 0x11111111, 0xEEEEEEEE)).all()
    assert (out[:, 1] == 0xFFFFFFFF).all()
    counts = report.counts
    assert counts.branches == counts.divergent_branches == 2
    assert counts.warp_instructions == 2 * (7 + 2 + 1 + 3)


LOOP = (
    HEADER
    + """
.visible .entry k(.param .u64 out) {
.reg .b32 %r<9>; .reg .b64 %q<9>; .reg .pred %p<2>;
ld.param.u64 %q1, [out];
mov.u32 %r1, %tid.x;
mul.wide.u32 %q2, %r1, 4;
add.u64 %q1, %q1, %q2;
mov.u32 %r2, 0;
$again:
setp.ge.u32 %p1, %r2, %r1;
@%p1 bra $done;
add.u32 %r2, %r2, 1;
bra $again;
$done:
activemask.b32 %r3;
st.global.u32 [%q1], %r3;
ret;
}
"""
)


def test_lanes_that_leave_a_loop_wait_for_the_others() -> None:
    out = np.zeros(32, np.uint32)
    report = run(Module.parse(LOOP).kernel(), 1, 32, [Pointer(out)])
    assert (out == 0xFFFFFFFF).all()
    assert report.counts.warp_instructions == 5 + 32 * 2 + 31 * 2 + 3
    assert report.counts.thread_instructions == 32 * 8 + sum(4 * n + 2 for n in range(32))
