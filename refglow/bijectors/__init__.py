"""TFP's bijectors, by TFP's names."""

from refglow.bijectors.absolute_value import AbsoluteValue
from refglow.bijectors.activation_normalization import ActivationNormalization
from refglow.bijectors.bijector import Bijector
from refglow.bijectors.blockwise import Blockwise
from refglow.bijectors.chain import Chain
from refglow.bijectors.composition import Composition
from refglow.bijectors.exit_bijector import ExitBijector
from refglow.bijectors.exp import Exp, Log
from refglow.bijectors.expand import Expand, Squeeze
from refglow.bijectors.glow import Glow
from refglow.bijectors.glow_block import GlowBlock
from refglow.bijectors.glow_coupling import ExpAffine, SigmoidAffine
from refglow.bijectors.identity import Identity
from refglow.bijectors.invert import Invert
from refglow.bijectors.joint_map import JointMap
from refglow.bijectors.one_by_one_conv import OneByOneConv
from refglow.bijectors.pad import Pad
from refglow.bijectors.permute import Permute
from refglow.bijectors.real_nvp import RealNVP
from refglow.bijectors.reciprocal import Reciprocal
from refglow.bijectors.reshape import Reshape
from refglow.bijectors.scale import Scale
from refglow.bijectors.scale_matvec_lu import ScaleMatvecLU
from refglow.bijectors.shift import Shift
from refglow.bijectors.sigmoid import Sigmoid
from refglow.bijectors.softplus import Softplus
from refglow.bijectors.split import Split
from refglow.bijectors.tanh import Tanh
from refglow.bijectors.transpose import Transpose
from refglow.networks.glow_networks import GlowDefaultExitNetwork, GlowDefaultNetwork
from refglow.networks.real_nvp_template import real_nvp_default_template

__all__ = [
    "AbsoluteValue", "ActivationNormalization", "Bijector", "Blockwise", "Chain", "Composition",
    "ExitBijector", "Exp", "ExpAffine", "Expand", "Glow", "GlowBlock", "GlowDefaultExitNetwork",
    "GlowDefaultNetwork", "Identity", "Invert", "JointMap", "Log", "OneByOneConv", "Pad", "Permute",
    "RealNVP", "Reciprocal", "Reshape", "Scale", "ScaleMatvecLU", "Shift", "Sigmoid",
    "SigmoidAffine", "Softplus", "Split", "Squeeze", "Tanh", "Transpose",
    "real_nvp_default_template"]
