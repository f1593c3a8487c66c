"""A second Glow, written as a porter would write it, and mistakes planted in it.

    from refglow.validation.mutants import MUTANTS, PortedGlow, combined
    right = PortedGlow(architecture, parameters)
    wrong = MUTANTS["squeeze-space-to-depth"].build(architecture, parameters)
    worse = combined(MUTANTS["squeeze-space-to-depth"], MUTANTS["bias-left-out"])

What finds mistakes in strangers' Glows is measured by these: the port shares neither arithmetic nor
tables of conventions with refglow.
"""

from types import MappingProxyType

from refglow.validation.mutants import (
    mutants_of_actnorm,
    mutants_of_conv,
    mutants_of_coupling,
    mutants_of_density,
    mutants_of_exit,
    mutants_of_latents,
    mutants_of_log_det,
    mutants_of_networks,
    mutants_of_order,
    mutants_of_precision,
    mutants_of_squeeze,
)
from refglow.validation.mutants.mutant import Mutant, can_combine, combined
from refglow.validation.mutants.port import PortedGlow

ALL_MUTANTS: tuple[Mutant, ...] = tuple(mutant for subject in (
    mutants_of_squeeze, mutants_of_actnorm, mutants_of_conv, mutants_of_coupling,
    mutants_of_networks, mutants_of_exit, mutants_of_order, mutants_of_latents,
    mutants_of_log_det, mutants_of_density, mutants_of_precision) for mutant in subject.MUTANTS)
MUTANTS = MappingProxyType({mutant.name: mutant for mutant in ALL_MUTANTS})

__all__ = ["ALL_MUTANTS", "MUTANTS", "Mutant", "PortedGlow", "can_combine", "combined"]
