"""Networks with their parameters as plain arrays."""

from refglow.networks.conv2d import Conv2D, conv2d
from refglow.networks.dense import Dense, dense
from refglow.networks.glow_networks import GlowDefaultExitNetwork, GlowDefaultNetwork
from refglow.networks.network import Network
from refglow.networks.real_nvp_template import real_nvp_default_template
from refglow.networks.relu import ReLU, relu
from refglow.networks.sequential import Sequential

__all__ = ["Conv2D", "Dense", "GlowDefaultExitNetwork", "GlowDefaultNetwork", "Network", "ReLU",
           "Sequential", "conv2d", "dense", "real_nvp_default_template", "relu"]
