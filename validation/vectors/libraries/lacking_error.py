"""Why a library computes nothing for a vector."""

from __future__ import annotations


class LackingError(Exception):
    """A library has not what a vector asks for; the message says what."""
