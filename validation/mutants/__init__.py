"""A second Glow, written as a porter would write it."""

from refglow.validation.mutants.port import PortedGlow

__all__ = ["PortedGlow"]
