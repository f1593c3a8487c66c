"""Optimizers: Adam, AdamW and Adamax.

For a parameter w with gradient w_bar, at update t = 1, 2, ... with learning rate a:

    m = beta_1 m + (1 - beta_1) w_bar                     first moment, from 0
    v = beta_2 v + (1 - beta_2) w_bar^2                   second moment, from 0
    Adam     w = w - a (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)
    AdamW    w = (1 - a weight_decay) w, then as Adam
    u = max(beta_2 u, |w_bar| + epsilon)                  infinity norm, from 0
    Adamax   w = w - a (m / (1 - beta_1^t)) / u

The functions are the specification, for one array. The classes apply them to one variable after the
other, so that beside the weights, the gradients and the moments a step needs memory for a few
copies of the largest array only.

Source: Kingma & Ba 2015, "Adam: A Method for Stochastic Optimization", algorithms 1 and 2;
Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

import numpy as np

from refglow.array_library import to_host
from refglow.backend import implementation
from refglow.dtypes import Array
from refglow.safetensors_file import require_kinds
from refglow.training.named_arrays import by_name, frozen, kinds_of, number_in_range
from refglow.variable import Variable, adopt


def adam_update(parameter: Array, gradient: Array, first_moment: Array, second_moment: Array,
                step: int, learning_rate: float, beta_1: float, beta_2: float, epsilon: float
                ) -> tuple[Array, Array, Array]:
    """One update of Adam: w - learning_rate * m_hat / (sqrt(v_hat) + epsilon).

    Epsilon stands where algorithm 1 and PyTorch have it, beside the corrected sqrt(v_hat). Keras
    adds the paper's "epsilon hat" to the uncorrected sqrt(v) instead; update t of Keras with
    `epsilon` is update t of this function with epsilon / sqrt(1 - beta_2^t).

    Args:
      parameter: w, any shape, floating; everything is computed in its number type.
      gradient: the derivative of the loss with respect to it, of its shape and dtype.
      first_moment, second_moment: m and v after the update before, of its shape and dtype; zeros
        before the first.
      step: t, the number of this update; 1 is the first.
      learning_rate, beta_1, beta_2, epsilon: Python numbers.

    Returns:
      the new parameter, first moment and second moment.

    Source: Kingma & Ba 2015, algorithm 1.
    """
    first_moment = beta_1 * first_moment + (1 - beta_1) * gradient
    second_moment = beta_2 * second_moment + (1 - beta_2) * np.square(gradient)
    m_hat = first_moment / (1 - beta_1**step)
    v_hat = second_moment / (1 - beta_2**step)
    return (parameter - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon),
            first_moment, second_moment)


def adamw_update(parameter: Array, gradient: Array, first_moment: Array, second_moment: Array,
                 step: int, learning_rate: float, beta_1: float, beta_2: float, epsilon: float,
                 weight_decay: float) -> tuple[Array, Array, Array]:
    """One update of AdamW: w - learning_rate * weight_decay * w, then Adam's.

    The decay is multiplied by the learning rate, as in PyTorch; the paper multiplies it by the
    schedule's factor only (its lambda is `learning_rate * weight_decay` here).

    Args:
      weight_decay: a Python number; the other arguments and the results as for `adam_update`.

    Source: Loshchilov & Hutter 2019, algorithm 2.
    """
    decayed = parameter - learning_rate * weight_decay * parameter
    return adam_update(decayed, gradient, first_moment, second_moment, step, learning_rate,
                       beta_1, beta_2, epsilon)


def adamax_update(parameter: Array, gradient: Array, first_moment: Array, infinity_norm: Array,
                  step: int, learning_rate: float, beta_1: float, beta_2: float, epsilon: float
                  ) -> tuple[Array, Array, Array]:
    """One update of Adamax: w - learning_rate * m_hat / u, with u = max(beta_2 u, |w_bar| + eps).

    The paper has no epsilon, and 0/0 where a gradient has always been zero. As in PyTorch it is
    added to |w_bar|, so that it bounds u from below and otherwise changes it by epsilon at most.

    Args:
      infinity_norm: u after the update before, of the parameter's shape and dtype; zeros before
        the first. The other arguments as for `adam_update`.

    Returns:
      the new parameter, first moment and infinity norm.

    Source: Kingma & Ba 2015, algorithm 2.
    """
    first_moment = beta_1 * first_moment + (1 - beta_1) * gradient
    infinity_norm = np.maximum(beta_2 * infinity_norm, np.abs(gradient) + epsilon)
    m_hat = first_moment / (1 - beta_1**step)
    return parameter - learning_rate * m_hat / infinity_norm, first_moment, infinity_norm


class Optimizer(ABC):
    """Updates variables by one of the functions above and keeps the moments by their names.

    The arrays that it hands out are read-only and do not change with later steps.
    """

    moment_names: ClassVar[tuple[str, str]]

    def __init__(self, learning_rate: float, beta_1: float, beta_2: float, epsilon: float) -> None:
        """Check and hold the arguments; the moments start with the first step."""
        self.learning_rate: Final = number_in_range("learning_rate", learning_rate)
        self.beta_1: Final = number_in_range("beta_1", beta_1, below=1.0)
        self.beta_2: Final = number_in_range("beta_2", beta_2, below=1.0)
        self.epsilon: Final = number_in_range("epsilon", epsilon)
        self._iterations = 0
        self._moments: dict[str, dict[str, Array]] = {name: {} for name in self.moment_names}

    @property
    def iterations(self) -> int:
        """How many updates have been made (Keras's name)."""
        return self._iterations

    def config(self) -> dict[str, float]:
        """The arguments by name."""
        return {"learning_rate": self.learning_rate, "beta_1": self.beta_1,
                "beta_2": self.beta_2, "epsilon": self.epsilon}

    def step(self, variables: Iterable[Variable], gradients: Mapping[str, Array],
             learning_rate: float | None = None) -> None:
        """Update every variable once.

        Args:
          variables: those to change, the same ones (by name) at every step; each parameter once.
          gradients: for each variable's name an array of its shape and dtype. NaN and infinity
            are not looked for. CuPy arrays are brought to the host, where variables are.
          learning_rate: of this step; by default the one given at construction.

        Raises:
          ValueError: if a gradient is missing, unknown or misfit, or the variables are not those of
            the steps before; names them all. Nothing is changed then.
        """
        targets = by_name(variables)
        rate = (self.learning_rate if learning_rate is None
                else number_in_range("learning_rate", learning_rate))
        expected = kinds_of(targets)
        require_kinds(expected, kinds_of(gradients),
                      "The gradients do not fit the variables; nothing was changed")
        for moments in self._moments.values():
            if self._iterations == 0:
                moments.update((name, np.zeros(v.shape, v.dtype)) for name, v in targets.items())
            require_kinds(expected, kinds_of(moments),
                          f"The state of {type(self).__name__} is not one of these variables; "
                          "nothing was changed")
        count = self._iterations + 1
        first, second = (self._moments[name] for name in self.moment_names)
        for name, variable in targets.items():
            value, new_first, new_second = self._update(
                variable.numpy(), to_host(gradients[name]), first[name], second[name], count, rate)
            adopt(variable, value)
            first[name], second[name] = frozen(new_first), frozen(new_second)
        self._iterations = count

    def state_dict(self) -> dict[str, Array]:
        """"step" (int64 scalar), and "<moment>.<variable's name>" for every moment."""
        arrays = {f"{moment}.{name}": array for moment, moments in self._moments.items()
                  for name, array in moments.items()}
        return {"step": np.array(self._iterations, np.int64)} | arrays

    def load_state_dict(self, arrays: Mapping[str, Array]) -> None:
        """Go on from a `state_dict`, of which everything is copied; if anything is wrong, nothing.

        Which variables it must be of is known once a step has been made or a state loaded. Before,
        any names are taken, and the next `step` compares them with its variables. A state of no
        steps has no moments, and starts anew.

        Raises:
          ValueError: listing what is missing, unknown or misfit.
        """
        count = _step_count(arrays)
        first = self._moments[self.moment_names[0]] if count else {}
        if count and not first:
            prefix = f"{self.moment_names[0]}."
            first = {key.removeprefix(prefix): array for key, array in arrays.items()
                     if key.startswith(prefix)}
        expected = {f"{moment}.{name}": kind for moment in self.moment_names
                    for name, kind in kinds_of(first).items()}
        found = {key: kind for key, kind in kinds_of(arrays).items() if key != "step"}
        require_kinds(expected, found,
                      f"The state does not fit {type(self).__name__}; nothing was changed")
        self._moments = {moment: {name: frozen(np.array(arrays[f"{moment}.{name}"]))
                                  for name in first} for moment in self.moment_names}
        self._iterations = count

    @abstractmethod
    def _update(self, parameter: Array, gradient: Array, first: Array, second: Array, step: int,
                learning_rate: float) -> tuple[Array, Array, Array]:
        """The update function with this optimizer's arguments."""


class Adam(Optimizer):
    """Adam; see `adam_update`. The defaults are the paper's."""

    moment_names = ("first_moment", "second_moment")

    def __init__(self, learning_rate: float = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
                 epsilon: float = 1e-8) -> None:
        """Hold the arguments of `adam_update`."""
        super().__init__(learning_rate, beta_1, beta_2, epsilon)

    def _update(self, parameter: Array, gradient: Array, first: Array, second: Array, step: int,
                learning_rate: float) -> tuple[Array, Array, Array]:
        update = implementation(adam_update, parameter, gradient, first, second)
        results: tuple[Array, Array, Array] = update(
            parameter, gradient, first, second, step, learning_rate,
            self.beta_1, self.beta_2, self.epsilon)
        return results


class AdamW(Optimizer):
    """AdamW; see `adamw_update`. The defaults are PyTorch's."""

    moment_names = ("first_moment", "second_moment")

    def __init__(self, learning_rate: float = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
                 epsilon: float = 1e-8, weight_decay: float = 0.01) -> None:
        """Hold the arguments of `adamw_update`."""
        super().__init__(learning_rate, beta_1, beta_2, epsilon)
        self.weight_decay: Final = number_in_range("weight_decay", weight_decay)

    def config(self) -> dict[str, float]:
        """The arguments by name."""
        return super().config() | {"weight_decay": self.weight_decay}

    def _update(self, parameter: Array, gradient: Array, first: Array, second: Array, step: int,
                learning_rate: float) -> tuple[Array, Array, Array]:
        update = implementation(adamw_update, parameter, gradient, first, second)
        results: tuple[Array, Array, Array] = update(
            parameter, gradient, first, second, step, learning_rate,
            self.beta_1, self.beta_2, self.epsilon, self.weight_decay)
        return results


class Adamax(Optimizer):
    """Adamax; see `adamax_update`. The defaults are PyTorch's."""

    moment_names = ("first_moment", "infinity_norm")

    def __init__(self, learning_rate: float = 0.002, beta_1: float = 0.9, beta_2: float = 0.999,
                 epsilon: float = 1e-8) -> None:
        """Hold the arguments of `adamax_update`."""
        super().__init__(learning_rate, beta_1, beta_2, epsilon)

    def _update(self, parameter: Array, gradient: Array, first: Array, second: Array, step: int,
                learning_rate: float) -> tuple[Array, Array, Array]:
        update = implementation(adamax_update, parameter, gradient, first, second)
        results: tuple[Array, Array, Array] = update(
            parameter, gradient, first, second, step, learning_rate,
            self.beta_1, self.beta_2, self.epsilon)
        return results


def _step_count(arrays: Mapping[str, Array]) -> int:
    """The number of updates in an optimizer's state."""
    step = arrays.get("step")
    if step is None or step.shape != () or step.dtype.kind not in "iu" or step < 0:
        what = "missing" if step is None else f"{step!r}"
        raise ValueError("An optimizer's state needs \"step\", an integer scalar of 0 or more; "
                         f"it is {what}.")
    return int(step)
