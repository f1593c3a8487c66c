"""Glow in other libraries: what refglow's training and speed are held against.

    TfpTraining          the same Glow in TensorFlow Probability, tf.function and GradientTape
    TorchTraining        the same Glow in PyTorch (refglow.validation.torch_oracle), autograd
    TorchNetworks        the same Glow's coupling networks, and nothing else, in PyTorch
    NormflowsTraining    a Glow of the same size by another author: normflows

The first three have a refglow Glow's weights and can be compared with it number by number; the
fourth is there for its speed and memory. Each makes steps of Adam as in Kingma & Ba 2015, algorithm
1, on the mean negative log-likelihood in nats, the latents being standard normal. A framework is
imported when one of its classes is built.
"""

from refglow.validation.peers.normflows_training import NormflowsTraining
from refglow.validation.peers.tfp_training import TfpTraining
from refglow.validation.peers.torch_networks import TorchNetworks
from refglow.validation.peers.torch_training import TorchTraining

__all__ = ["NormflowsTraining", "TfpTraining", "TorchNetworks", "TorchTraining"]
