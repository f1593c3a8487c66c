"""Tools that hold an implementation of Glow against the reference.

It depends on refglow; refglow never depends on it. TFP and other frameworks are imported only
inside the functions that run them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refglow.validation.gradients import check_gradients as check_gradients

__all__ = ["check_gradients"]

if not TYPE_CHECKING:
    def __getattr__(name: str) -> object:
        """A public name that was not used yet: see `refglow/__init__.py`."""
        if name not in __all__:
            raise AttributeError(f"module 'refglow.validation' has no attribute {name!r}")
        from refglow.validation.gradients import check_gradients
        return check_gradients
