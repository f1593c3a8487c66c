"""Ways in: Glows of other libraries and checkpoints as Glows in a dialect.

    from_normflows(model)        a normflows MultiscaleFlow of GlowBlocks
    from_nflows(transform)       nflows' multi-scale Glow
    from_freia(model)            FrEIA's SequenceINN, GraphINN or ReversibleGraphNet
    from_tfp(glow)               TensorFlow Probability's Glow
    from_openai(arrays, shape)   arrays by the names of openai/glow's checkpoints
    from_rosinality(arrays, shape), from_chaiyujin(arrays)
                                 the same of rosinality's, chaiyujin's and y0ast's
    arrays_of_torch_file(path)   arrays of a checkpoint, without running code from it

Each gives an `Imported`: the Glow, which computes what the original computes, and what became of
each convention. What no dialect can say is a NotRepresentableError.
"""

from refglow.validation.adapters.chaiyujin_checkpoint import from_chaiyujin
from refglow.validation.adapters.checkpoint_files import arrays_of_torch_file
from refglow.validation.adapters.freia_model import from_freia
from refglow.validation.adapters.imported import Imported
from refglow.validation.adapters.nflows_model import from_nflows
from refglow.validation.adapters.normflows_model import from_normflows
from refglow.validation.adapters.openai_checkpoint import from_openai
from refglow.validation.adapters.rosinality_checkpoint import from_rosinality
from refglow.validation.adapters.tfp_model import from_tfp
from refglow.validation.dialects.conversion import NotRepresentableError

__all__ = ["Imported", "NotRepresentableError", "arrays_of_torch_file", "from_chaiyujin",
           "from_freia", "from_nflows", "from_normflows", "from_openai", "from_rosinality",
           "from_tfp"]
