"""Glow's dialects: the conventions of every known implementation, as records that compute.

`dialect` has the record, one field for each question, its answers by name; `known` the dialects of
TFP, OpenAI, rosinality, normflows, nflows, FrEIA and others; `dialect_glow` a Glow in any dialect,
from the same specification functions. `converted` takes it into another dialect, with what became
of each convention and why; `to_refglow` makes one of refglow's Glows of one in TFP's dialect.
"""

from refglow.validation.dialects.as_refglow import to_refglow as to_refglow
from refglow.validation.dialects.converting import Converted as Converted
from refglow.validation.dialects.converting import converted as converted
from refglow.validation.dialects.dialect import FIELDS as FIELDS
from refglow.validation.dialects.dialect import Dialect as Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow as DialectGlow
from refglow.validation.dialects.structure import Structure as Structure
