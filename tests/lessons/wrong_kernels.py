"""How the tests of the puzzles look at wrong answers."""

import inspect

from refglow.lessons.puzzles import PUZZLES


def rejected(puzzle, kernel, hint):
    """A wrong answer is called wrong, with these words in what is said."""
    verdict = puzzle.check(kernel)
    assert not verdict.right, f"{puzzle.name} accepts {kernel.__name__}"
    assert hint in str(verdict), str(verdict)


def accepted(puzzle, kernel):
    """A right answer is called right."""
    verdict = puzzle.check(kernel)
    assert verdict.right, str(verdict)


def changed(puzzle, old, new):
    """The puzzle's solution with a piece of its text, which is there once, exchanged."""
    source = inspect.getsource(puzzle.solution)
    assert source.count(old) == 1, source
    names = dict(puzzle.solution.__globals__)
    exec(source.replace(old, new), names)
    return names[puzzle.solution.__name__]


def named(name):
    """A puzzle by its name."""
    puzzle, = (puzzle for puzzle in PUZZLES if puzzle.name == name)
    return puzzle
