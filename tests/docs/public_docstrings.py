"""What a public name's docstring owes its reader, and what of that is missing.

    every parameter       by its name, in Args or in the sentence that says what is computed
    results               in Returns, unless the first line says what is returned: "The latents"
    arrays                their shapes, in brackets
    log-dets, densities   their unit: nats
    errors                in Raises, if the function itself raises
    formulas              in bijectors, networks and distributions: the source

What overrides a method of a base class is documented there; "as for" refers to another docstring.
A record, a dataclass, names all its fields.
"""

import ast
import inspect
import re
import sys
import textwrap
from dataclasses import fields, is_dataclass

_RESULT = re.compile(
    r"(The|A|An|One|Each|All|Every|Whether|How|What|Which|Who|Where|Random|For JSON|log|sum)\b|"
    r"[-(\[{`'\"]|\S+ = |\w+(\(| [*@<-])|.*; (the|what) ")
_REFERS = re.compile(r"\b(as|As) (for|in|the|`)|^See |^`.*`\b|\(see ", re.MULTILINE)
_MATHEMATICS = ("refglow.bijectors", "refglow.networks", "refglow.distributions")
_IN_NATS = re.compile(r"log_det|log_prob|_vjp|_jvp")


def lacking(value):
    """What the docstrings of a public function or class lack, in words."""
    if inspect.isclass(value):
        return [*_of_class(value), *_source(value)]
    return [*_of_function(value, inspect.getdoc(value) or "", value.__module__), *_source(value)]


def _of_class(kind):
    doc = inspect.getdoc(kind) or ""
    if is_dataclass(kind):
        own = inspect.get_annotations(kind)
        if not _REFERS.search(doc):
            yield from (f"field {one.name}" for one in fields(kind)
                        if one.name in own and one.name[0] != "_" and not _names(one.name, doc))
    elif "__init__" in vars(kind):
        own = inspect.getdoc(kind.__init__) or ""
        yield from (f"__init__: {what}" for what in _of_function(kind.__init__, doc + own,
                                                                 kind.__module__))
    for name, member in vars(kind).items():
        inherited = any(name in vars(base) for base in kind.__mro__[1:])
        own_method = inspect.isfunction(member) and member.__module__ == kind.__module__
        if not name.startswith("_") and own_method and not inherited:
            yield from (f"{name}: {what}" for what in _of_function(
                member, inspect.getdoc(member) or "", kind.__module__))


def _of_function(function, doc, module):
    signature = inspect.signature(function)
    names = [name for name in signature.parameters if name not in ("self", "cls")]
    refers = _REFERS.search(doc)
    if not refers:
        yield from (f"parameter {name}" for name in names if not _names(name, doc))
    result = signature.return_annotation
    if result not in (None, "None", inspect.Signature.empty) and "Returns" not in doc and not (
            refers or _RESULT.match(doc)):
        yield "Returns"
    arrays = [name for name in names
              if re.fullmatch(r"(Array|npt\.ArrayLike|Tensor)( \| None)?",
                              str(signature.parameters[name].annotation))]
    if arrays and "[" not in doc and "shape" not in doc and not refers:
        yield f"the shape of {', '.join(arrays)}"
    if _IN_NATS.search(function.__name__) and module.startswith(_MATHEMATICS) and not refers and (
            "nats" not in doc + (sys.modules[module].__doc__ or "")):
        yield "the unit, nats"
    if _raises(function) and "Raises" not in doc and not refers:
        yield "Raises"


def _names(name, doc):
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", doc)


def _raises(function):
    """Whether it has a `raise` of its own that makes an error, outside functions inside it."""
    [tree] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    pending = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Raise) and node.exc is not None:
            return True
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            pending += ast.iter_child_nodes(node)
    return False


def _source(value):
    text = (inspect.getdoc(value) or "") + (sys.modules[value.__module__].__doc__ or "")
    if value.__module__.startswith(_MATHEMATICS) and "Source" not in text:
        yield "Source"
