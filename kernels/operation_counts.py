"""How many arithmetic operations the couplings take, for rooflines: one home for CPU and CUDA."""

from __future__ import annotations

# For each mapped number; an exponential, a logarithm and a quotient count as one each, a change of
# sign as none. A sigmoid and its logarithm share exp(-|r + 2|): r + 2, exp, 1 + e, quotient; log1p,
# difference. With x s, + t and the sum over the image that is 9. The derivatives need no logarithm:
# the four of s, the cotangent times s or over s, and (1 - s) (x times that + the log-det's).
COUPLING_OPERATIONS = {
    "sigmoid_coupling_forward": 9, "sigmoid_coupling_inverse": 9,
    "exp_coupling_forward": 5, "exp_coupling_inverse": 5,
    "shift_coupling_forward": 1, "shift_coupling_inverse": 1,
    "sigmoid_coupling_forward_vjp": 9, "sigmoid_coupling_inverse_vjp": 9,
    "exp_coupling_forward_vjp": 5, "exp_coupling_inverse_vjp": 5,
    "shift_coupling_forward_vjp": 0, "shift_coupling_inverse_vjp": 0}
