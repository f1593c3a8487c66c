"""Errata about arguments on their way inside: batches, keyword arguments, validation."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.validation.errata.erratum import Demonstration, Erratum, raises
from refglow.validation.errata.scene import default_networks, glow, images, tfp_block
from refglow.validation.tfp.framework import tensorflow, tfp_bijectors, tfp_glow_parts


def _latent_shape(library: Any, *batch: int) -> tuple[int, ...]:
    model = glow(library, use_actnorm=False, **default_networks(library))
    return tuple(model.inverse(images(*batch)).shape)


def _two_tfp() -> Demonstration:
    return raises(lambda: _latent_shape(tfp_bijectors(), 2, 3), ValueError, "incompatible",
                  "found shape=(2, 3,")


def _two_refglow() -> Demonstration:
    shape = _latent_shape(tfb, 2, 3)
    return Demonstration(f"images [2, 3, 4, 4, 3] give latents {list(shape)}", shape == (2, 3, 48))


BATCH_TWO = Erratum(
    identifier="batch-two-dimensions",
    title="Two leading batch dimensions fail with the default networks",
    where="Glow: event and batch dimensions; TransformedDistribution.sample([2, 3])",
    documented="The last dimensions are the event; any number of batch dimensions may stand "
               "before them.",
    tfp_does="The Keras networks demand exactly four dimensions: ValueError.",
    refglow_does="Any number of leading dimensions.",
    follows="documentation", show_tfp=_two_tfp, show_refglow=_two_refglow)


def _none_tfp() -> Demonstration:
    return raises(lambda: _latent_shape(tfp_bijectors()), ValueError, "incompatible",
                  "found shape=(2, 2, 6)")


def _none_refglow() -> Demonstration:
    shape = _latent_shape(tfb)
    return Demonstration(f"one image gives a latent of shape {list(shape)}", shape == (48,))


BATCH_NONE = Erratum(
    identifier="batch-none",
    title="A single image or sample without a batch dimension fails",
    where="Glow: event and batch dimensions; TransformedDistribution.sample()",
    documented="Glow transforms a rank-1 tensor into a rank-3 tensor.",
    tfp_does="The Keras networks demand exactly four dimensions: ValueError.",
    refglow_does="Works.",
    follows="documentation", show_tfp=_none_tfp, show_refglow=_none_refglow)


def _call_tfp() -> Demonstration:
    conv = tfp_glow_parts().OneByOneConv(3)
    return raises(lambda: conv(np.ones((2, 3), np.float32)), TypeError,
                  "unexpected keyword argument 'name'")


def _call_refglow() -> Demonstration:
    conv, x = tfb.OneByOneConv(3, seed=0), images(2)
    return Demonstration("conv(x) equals conv.forward(x)",
                         bool(np.array_equal(conv(x), conv.forward(x))))


CONV_CALL = Erratum(
    identifier="conv-call",
    title="A 1x1 convolution cannot be called on an array",
    where="__call__",
    documented="Called on a tensor, a bijector returns forward of it.",
    tfp_does="OneByOneConv overrides forward without the argument name that __call__ passes: "
             "TypeError.",
    refglow_does="Works.",
    follows="documentation", show_tfp=_call_tfp, show_refglow=_call_refglow)


def _conv_kwargs_tfp() -> Demonstration:
    chain = tfp_bijectors().Chain([tfp_glow_parts().OneByOneConv(2, name="conv")])
    return raises(lambda: chain.forward(np.zeros((1, 2), np.float32), conv={"label": 1.0}),
                  TypeError, "OneByOneConv.forward() got an unexpected keyword argument 'label'")


class _Labelled(tfb.ScaleMatvecLU):
    """A 1x1 convolution's inner bijector that takes a conditioning argument."""

    def _forward_and_log_det(self, x: Any, label: float = 0.0) -> Any:
        y, fldj = super()._forward_and_log_det(x)
        return y + np.float32(label), fldj


def _conv_kwargs_refglow() -> Demonstration:
    conv = tfb.OneByOneConv(2, name="conv")
    conv._bijector = _Labelled(np.eye(2, dtype=np.float32), [0, 1])
    y = tfb.Chain([conv]).forward(np.zeros((1, 2), np.float32), conv={"label": 1.0})
    return Demonstration(f"label=1 reaches the inner bijector: {y.tolist()}",
                         y.tolist() == [[1.0, 1.0]])


CONV_KWARGS = Erratum(
    identifier="conv-kwargs",
    title="Keyword arguments cannot pass through a 1x1 convolution",
    where="forward, inverse and both log-dets, **kwargs",
    documented="Named arguments are forwarded to the implementation.",
    tfp_does="OneByOneConv overrides the public methods without **kwargs.",
    refglow_does="Passes them on to the bijector inside.",
    follows="documentation", show_tfp=_conv_kwargs_tfp, show_refglow=_conv_kwargs_refglow)


def _conditional(shape: Any, output_chan: int | None = None) -> Any:
    return lambda x, label=0.0: x * 0 + np.float32(label)


def _condition_tfp() -> Demonstration:
    block = tfp_block(4, _conditional)
    return raises(lambda: block.inverse(np.zeros((1, 2, 2, 4), np.float32),
                                        invert_real_nvp={"label": 1.0}),
                  TypeError, "unexpected keyword argument 'label'")


def _condition_refglow() -> Demonstration:
    block = tfb.GlowBlock((2, 2, 4), 1, _conditional, use_actnorm=False)
    z = block.inverse(np.zeros((1, 2, 2, 4), np.float32), invert_real_nvp={"label": 1.0})
    return Demonstration(f"zeros, label=1: each pixel becomes {z[0, 0, 0].tolist()}",
                         z[0, 0, 0].tolist() == [0, 0, 1, 1])


CONDITIONING = Erratum(
    identifier="coupling-kwargs",
    title="Conditioning arguments cannot reach Glow's coupling networks",
    where="forward and inverse, **kwargs; RealNVP, condition_kwargs",
    documented="Named arguments are forwarded, and RealNVP passes them to bijector_fn.",
    tfp_does="Glow wraps each network in a function without keyword arguments: TypeError.",
    refglow_does="The network is called with them.",
    follows="documentation", show_tfp=_condition_tfp, show_refglow=_condition_refglow)


def _labelled_chain(library: Any) -> Any:
    return library.Chain([library.RealNVP(
        num_masked=1, name="coupling",
        bijector_fn=lambda x0, units, label=0.0: library.Shift(label * x0))])


def _misspelt_tfp() -> Demonstration:
    chain, x = _labelled_chain(tfp_bijectors()), tensorflow().ones((1, 2))
    right = np.asarray(chain.forward(x, coupling={"label": 3.0})).tolist()
    wrong = np.asarray(chain.forward(x, copuling={"label": 3.0})).tolist()
    return Demonstration(f"coupling={{'label': 3}}: {right}; copuling={{'label': 3}}: {wrong}",
                         right == [[1.0, 4.0]] and wrong == [[1.0, 1.0]])


def _misspelt_refglow() -> Demonstration:
    chain = _labelled_chain(tfb)
    return raises(lambda: chain.forward(np.ones((1, 2), np.float32), copuling={"label": 3.0}),
                  TypeError, "no part is called 'copuling'")


MISSPELT = Erratum(
    identifier="kwargs-misspelt",
    title="Keyword arguments for a part that does not exist are dropped",
    where="Chain: keyword arguments by the parts' names",
    documented="Keyword arguments reach the inner bijectors by their names.",
    tfp_does="A name that no part has is ignored: a misspelt one conditions on nothing, silently.",
    refglow_does="TypeError, naming the parts.",
    follows="neither", show_tfp=_misspelt_tfp, show_refglow=_misspelt_refglow)


def _nan_tfp() -> Demonstration:
    model = glow(tfp_bijectors(), validate_args=True, use_actnorm=False)
    z = np.asarray(model.inverse(images(1) * np.float32(np.nan)))
    return Demonstration(f"{int(np.isnan(z).sum())} of {z.size} latents are NaN, no error",
                         bool(np.isnan(z).all()))


def _nan_refglow() -> Demonstration:
    model = glow(validate_args=True, use_actnorm=False)
    return raises(lambda: model.inverse(images(1) * np.float32(np.nan)), ValueError,
                  "NaN or infinite", "(0, 0, 0, 0)")


VALIDATE_NAN = Erratum(
    identifier="validate-nan",
    title="validate_args does not notice NaN",
    where="Glow, argument validate_args",
    documented="Arguments are checked for correctness.",
    tfp_does="NaN images pass through.",
    refglow_does="ValueError with the number of bad values and the place of the first.",
    follows="documentation", show_tfp=_nan_tfp, show_refglow=_nan_refglow)


def _nested_tfp() -> Demonstration:
    model, tf = glow(tfp_bijectors(), validate_args=True, use_actnorm=False), tensorflow()
    for variable in model.trainable_variables:
        if "lower_upper" in variable.name:
            variable.assign(tf.linalg.set_diag(variable, tf.zeros(variable.shape[0])))
    ildj = np.asarray(model.inverse_log_det_jacobian(images(1), 3)).tolist()
    return Demonstration(f"zeros on every LU diagonal: ildj = {ildj}", ildj == [-np.inf])


def _nested_refglow() -> Demonstration:
    model = glow(validate_args=True, use_actnorm=False)
    for variable in model.trainable_variables:
        if variable.name.endswith("lower_upper"):
            variable.assign(variable.numpy() - np.diag(np.diag(variable.numpy())))
    return raises(lambda: model.inverse_log_det_jacobian(images(1), 3), ValueError, "singular")


VALIDATE_NESTED = Erratum(
    identifier="validate-nested",
    title="Glow's validate_args does not reach its parts",
    where="Glow, argument validate_args",
    documented="Arguments are checked for correctness; ScaleMatvecLU's validate_args rejects a "
               "zero on the diagonal.",
    tfp_does="The parts are built without it: a singular 1x1 convolution gives -inf silently.",
    refglow_does="A singular 1x1 convolution is an error with or without validate_args.",
    follows="documentation", show_tfp=_nested_tfp, show_refglow=_nested_refglow)


def _conv_validate_tfp() -> Demonstration:
    value = tfp_glow_parts().OneByOneConv(3, validate_args=True).validate_args
    return Demonstration(f"OneByOneConv(3, validate_args=True).validate_args is {value}",
                         value is False)


def _conv_validate_refglow() -> Demonstration:
    value = tfb.OneByOneConv(3, validate_args=True).validate_args
    return Demonstration(f"OneByOneConv(3, validate_args=True).validate_args is {value}",
                         value is True)


CONV_VALIDATE = Erratum(
    identifier="conv-validate-args",
    title="OneByOneConv denies that it validates",
    where="attribute validate_args",
    documented="Returns True if arguments are validated.",
    tfp_does="False, though the bijector inside validates.",
    refglow_does="True.",
    follows="documentation", show_tfp=_conv_validate_tfp, show_refglow=_conv_validate_refglow)

ERRATA = (BATCH_TWO, BATCH_NONE, CONV_CALL, CONV_KWARGS, CONDITIONING, MISSPELT, VALIDATE_NAN,
          VALIDATE_NESTED, CONV_VALIDATE)
