"""from_tfp: a live TFP Glow as a DialectGlow, random weights everywhere, both directions."""

import numpy as np
import pytest
from adapting import LIMIT

from refglow.validation.adapters import NotRepresentableError, from_tfp
from refglow.validation.compare import difference
from refglow.validation.live import random_glow
from refglow.validation.random_models import random_architecture, random_images
from refglow.validation.tfp import tfp_twin
from refglow.validation.tfp.framework import tfp_bijectors

pytestmark = pytest.mark.tfp


@pytest.mark.parametrize("seed", [0, 3])
def test_random_architectures_are_reproduced(tf, seed):
    rng = np.random.default_rng([11, seed])
    ours = random_glow(random_architecture(rng), rng, np.float64)
    twin = tfp_twin(ours)
    images = random_images(rng, 2, ours.parameters["output_shape"])
    imported = from_tfp(twin)
    z, log_det = imported.glow.inverse(images)
    expected = twin.inverse(tf.constant(images)).numpy()
    x, back = imported.glow.forward(expected)
    log_dets = [bijector(tf.constant(value), event_ndims=ndims).numpy()
                for bijector, value, ndims in ((twin.inverse_log_det_jacobian, images, 3),
                                               (twin.forward_log_det_jacobian, expected, 1))]
    assert difference(z, expected).relative < LIMIT
    assert difference(x, twin.forward(tf.constant(expected)).numpy()).relative < LIMIT
    assert difference(log_det, log_dets[0]).relative < LIMIT
    assert difference(back, log_dets[1]).relative < LIMIT


def test_a_network_that_is_a_function_is_refused(tf):
    def scale_and_shift(shape):
        def network(x):
            return tf.concat([x, x], axis=-1)
        network.dtype = tf.float64
        return network
    glow = tfp_bijectors().Glow((4, 4, 1), 1, 1, coupling_bijector_fn=scale_and_shift,
                                use_actnorm=False)
    with pytest.raises(NotRepresentableError, match=r"'network'.*function"):
        from_tfp(glow)


def test_an_actnorm_that_has_not_seen_data_is_refused(tf):
    tfb = tfp_bijectors()
    glow = tfb.Glow((4, 4, 1), 1, 1, tfb.GlowDefaultNetwork, tfb.GlowDefaultExitNetwork)
    with pytest.raises(NotRepresentableError, match="has not seen data"):
        from_tfp(glow)
