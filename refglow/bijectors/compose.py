"""What calling a bijector on something means."""

from __future__ import annotations

from typing import Any

from refglow.bijectors.bijector import Bijector
from refglow.bijectors.chain import Chain
from refglow.distributions.distribution import Distribution
from refglow.distributions.transformed_distribution import TransformedDistribution


def compose(bijector: Bijector, value: Any, name: str | None, **kwargs: Any) -> Any:
    """`bijector(value)`: a transformed distribution, a longer chain, or `forward(value)`.

    A TransformedDistribution is transformed further (its bijector is composed), and a Chain is
    extended, so that nothing nests needlessly.

    Source: tfp.bijectors.Bijector.__call__.
    """
    if type(value) is TransformedDistribution:
        arguments = value.parameters | kwargs
        arguments["name"] = name or arguments.get("name")
        arguments["bijector"] = bijector(value.bijector)
        return TransformedDistribution(**arguments)
    if isinstance(value, Distribution):
        return TransformedDistribution(value, bijector, name=name, **kwargs)
    if isinstance(value, Chain):
        arguments = {"validate_args": value.validate_args} | kwargs
        return Chain([bijector, *value.bijectors], name=name or value.name, **arguments)
    if isinstance(value, Bijector):
        return Chain([bijector, value], name=name, **kwargs)
    return bijector.forward(value, **kwargs)
