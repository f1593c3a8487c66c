"""What the lessons of docs/lessons have as code: exercises that judge an answer, and sources shown.

One module for each lesson, by its name: `refglow.lessons.squeeze.exercise.check(my_function)` says
whether `my_function` is right, and if not, what it got wrong.
"""

from refglow.lessons.exercise import Exercise, Verdict
from refglow.lessons.shown_source import ShownSource, show

__all__ = ["Exercise", "ShownSource", "Verdict", "show"]
