"""Learning-rate schedules: the learning rate of an update from the number of updates before it."""

from __future__ import annotations


def warm_up(step: int, learning_rate: float, warm_up_steps: int) -> float:
    """learning_rate * min(1, (step + 1) / warm_up_steps): a linear rise, then constant.

    Args:
      step: the number of updates made so far; 0 for the first one, whose learning rate is
        `learning_rate / warm_up_steps`.
      learning_rate: the one to reach, at step `warm_up_steps - 1`.
      warm_up_steps: how many updates the rise takes; 0 or 1 for none.

    Returns:
      the learning rate of this update.

    Raises:
      ValueError: if `step` or `warm_up_steps` is negative.

    Source: Kingma & Dhariwal's program (github.com/openai/glow, train.py), which counts the rise in
      epochs.
    """
    if step < 0 or warm_up_steps < 0:
        raise ValueError("step and warm_up_steps are numbers of updates, 0 or more; got "
                         f"{step} and {warm_up_steps}.")
    return float(learning_rate) * min(1.0, (step + 1) / max(1, warm_up_steps))
