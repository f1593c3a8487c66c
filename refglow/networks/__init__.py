"""Networks with their parameters as plain arrays."""

from refglow.networks.conv2d import Conv2D, conv2d
from refglow.networks.conv2d_gradient import conv2d_jvp, conv2d_vjp
from refglow.networks.dense import Dense, dense, dense_jvp, dense_vjp
from refglow.networks.glow_networks import GlowDefaultExitNetwork, GlowDefaultNetwork
from refglow.networks.network import Network
from refglow.networks.real_nvp_template import real_nvp_default_template
from refglow.networks.relu import ReLU, relu, relu_jvp, relu_vjp
from refglow.networks.sequential import Sequential

__all__ = ["Conv2D", "Dense", "GlowDefaultExitNetwork", "GlowDefaultNetwork", "Network", "ReLU",
           "Sequential", "conv2d", "conv2d_jvp", "conv2d_vjp", "dense", "dense_jvp", "dense_vjp",
           "real_nvp_default_template", "relu", "relu_jvp", "relu_vjp"]
