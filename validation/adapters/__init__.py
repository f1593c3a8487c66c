"""Ways in: Glows of other libraries and checkpoints as Glows in a dialect.

    from_normflows(model)        a normflows MultiscaleFlow of GlowBlocks
    from_nflows(transform)       nflows' multi-scale Glow
    from_freia(model)            FrEIA's SequenceINN, GraphINN or ReversibleGraphNet
    from_tfp(glow)               TensorFlow Probability's Glow
    from_openai(arrays, ...)     arrays by the names of openai/glow's checkpoints
    from_rosinality(arrays, ...), from_chaiyujin(arrays, ...)
                                 the same of rosinality's, chaiyujin's and y0ast's
    arrays_of_torch_file(path)   arrays of a checkpoint, without running code from it

Each gives an `Imported`: the Glow, which computes what the original computes, and what became of
each convention. What no dialect can say is a NotRepresentableError.
"""

from refglow.validation.adapters.imported import Imported, NotRepresentableError
from refglow.validation.adapters.normflows_model import from_normflows

__all__ = ["Imported", "NotRepresentableError", "from_normflows"]
