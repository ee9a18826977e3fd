"""Reads the outline of an ONNX file without the onnx package, so that a robot refuses what no exported policy holds."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from ashore.policies.protobuf import FieldReader, integers

MAX_NODES = 20_000
"""Ten times what the largest of our networks exports to."""
MAX_DEPTH = 8
MAX_DIMS = 8
DOMAINS = ("", "ai.onnx")
_OPERATORS = """
Add Cast Clip Concat ConstantOfShape Cos Div DynamicQuantizeLinear Expand Gather Gelu Gemm Greater Identity
InstanceNormalization LayerNormalization Loop MatMul MatMulInteger Max Min Mish Mul Neg Pad ReduceSum Reshape Shape
Sigmoid Sin Slice Softmax Split Sqrt Squeeze Sub Sum Tanh Transpose Unsqueeze Where
Abs Constant Conv ConvTranspose Elu Equal Erf Exp Flatten GreaterOrEqual GroupNormalization HardSigmoid HardSwish
LeakyRelu Less LessOrEqual Log PRelu Pow ReduceMax ReduceMean ReduceMin Reciprocal Relu Selu Softplus Softsign
"""
OPERATORS = frozenset(_OPERATORS.split())
"""Three lines that our networks export to, then their next of kin. Left out are branches, chance, text and pictures."""
SIZED = {"ConstantOfShape": (0,), "Expand": (1,), "Pad": (1,), "Reshape": (1,), "Slice": (1, 2, 3, 4), "Split": (1,)}
"""Operators whose result is of a size that these of their inputs tell by numbers."""
MAX_ROWS = 200
"""Turns of the one loop that a policy may have, its sampler's; Heun takes 199 in 100 steps."""

# Field numbers of onnx/onnx.proto, Apache-2.0.
_MODEL_OPSET, _MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 8, 7, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_SPARSE = 1, 5, 11, 15
_VALUE_NAME = 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = 5, 6, 10, 11, 22
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_FLOAT_DATA, _DOUBLE_DATA = 4, 10
_INT64 = 7
_DTYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", 11: "<f8"}
"""Types of weights that an exported policy has, as numpy calls them: no text, and nothing of half precision."""


@dataclass(frozen=True)
class _Node:
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass
class _Outline:
    reader: FieldReader = field(default_factory=FieldReader)
    faults: list[str] = field(default_factory=list)
    nodes: list[_Node] = field(default_factory=list)
    """Of the graph and of those inside it; names are unique over all of them."""
    inputs: set[str] = field(default_factory=set)
    loops: list[list[str]] = field(default_factory=list)
    """Names of the inputs of each loop: how many turns, whether to begin, and what it carries."""
    weights: set[str] = field(default_factory=set)
    """Names of the outermost graph's weights."""
    numbers: dict[str, list[bytes]] = field(default_factory=dict)
    """Weights of the outermost graph that are a single whole number, as little-endian bytes, by name."""
    computed: set[str] = field(default_factory=set)
    """Names that nodes of the outermost graph give out."""


def graph_faults(content: bytes) -> list[str]:
    """List what keeps an ONNX file from being loaded.

    Refused are external data, operators that no exported policy has, functions, control flow other than one loop of a
    fixed, small number of turns, weights that are NaN or larger than the file says, sizes that follow from what is
    observed, and what is no ONNX file at all.
    """
    outline = _Outline()
    try:
        _model(memoryview(content), outline)
    except (ValueError, IndexError) as error:
        outline.faults.append(f"not an ONNX file ({error})")
    return list(dict.fromkeys(outline.faults))


def _model(content: memoryview, outline: _Outline) -> None:
    n_graphs = 0
    for number, value in outline.reader.fields(content):
        if number == _MODEL_GRAPH and isinstance(value, memoryview):
            n_graphs += 1
            _graph(value, outline, 0)
        elif number == _MODEL_OPSET and isinstance(value, memoryview):
            domain = b"".join(
                bytes(v) for n, v in outline.reader.fields(value) if n == 1 and isinstance(v, memoryview)
            ).decode()
            if domain not in DOMAINS:
                outline.faults.append(f"operators of domain {domain!r}; only the standard ones are run")
        elif number in (_MODEL_FUNCTIONS, _MODEL_TRAINING):
            outline.faults.append("functions or training graphs; only one plain graph is run")
    if n_graphs != 1:
        outline.faults.append(f"{n_graphs} graphs; expected one")
    _check_loops(outline)
    _check_sizes(outline)


def _check_sizes(outline: _Outline) -> None:
    """Allow no size that follows from values that are observed: what the trial needs is then what every run needs."""
    uses: dict[str, list[_Node]] = defaultdict(list)
    for node in outline.nodes:
        for name in node.inputs:
            uses[name].append(node)
    looped = {name for node in outline.nodes if node.operator == "Loop" for name in node.outputs}
    found = outline.inputs | looped
    open_ = list(found)
    while open_:
        for node in uses[open_.pop()]:
            fresh = set(node.outputs) - found if node.operator != "Shape" else set()
            found |= fresh
            open_ += fresh
    for node in outline.nodes:
        if found & {node.inputs[i] for i in SIZED.get(node.operator, ()) if i < len(node.inputs)}:
            outline.faults.append(f"the operator {node.operator!r} with a size that depends on what is observed")


def _check_loops(outline: _Outline) -> None:
    """Allow one loop whose number of turns is a constant: a loop without end would hold the robot up."""
    if len(outline.loops) > 1:
        outline.faults.append(f"{len(outline.loops)} loops; a policy has one, its sampler's")
    for inputs in outline.loops:
        name = inputs[0] if inputs else ""
        found = outline.numbers.get(name, [])
        # A name with two meanings is refused: which one the runtime takes is not for this scan to know.
        is_one = len(found) == 1 and name not in outline.computed
        turns = int.from_bytes(found[0], "little", signed=True) if is_one else 0
        if not 1 <= turns <= MAX_ROWS or (len(inputs) > 1 and inputs[1]):
            outline.faults.append(f"a loop without a fixed number of turns from 1 to {MAX_ROWS}")


def _graph(content: memoryview, outline: _Outline, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"graphs nested deeper than {MAX_DEPTH}")
    for number, value in outline.reader.fields(content):
        if not isinstance(value, memoryview):
            continue
        if number == _GRAPH_NODE:
            if len(outline.nodes) >= MAX_NODES:
                raise ValueError(f"more than {MAX_NODES} nodes")
            _node(value, outline, depth)
        elif number == _GRAPH_INPUT:
            outline.inputs |= set(_texts(value, _VALUE_NAME, outline))
        elif number == _GRAPH_INITIALIZER:
            _tensor(value, outline)
            if depth == 0:
                _note(value, outline)
        elif number == _GRAPH_SPARSE:
            outline.faults.append("sparse weights; only plain ones are run")


def _node(content: memoryview, outline: _Outline, depth: int) -> None:
    inputs, outputs, operators = (_texts(content, each, outline) for each in (_NODE_INPUT, _NODE_OUTPUT, _NODE_OP))
    outline.nodes.append(_Node(operators[-1] if operators else "", tuple(inputs), tuple(outputs)))
    if depth == 0:
        outline.computed |= set(outputs)
    for number, value in outline.reader.fields(content):
        if not isinstance(value, memoryview):
            continue
        if number == _NODE_DOMAIN and bytes(value).decode() not in DOMAINS:
            outline.faults.append(f"operators of domain {bytes(value).decode()!r}; only the standard ones are run")
        elif number == _NODE_OP and bytes(value) == b"Loop":
            if depth:
                outline.faults.append("a loop within a loop")
            outline.loops.append(inputs)
        elif number == _NODE_OP and bytes(value).decode() not in OPERATORS:
            outline.faults.append(f"the operator {bytes(value).decode()!r}; no exported policy has it")
        elif number == _NODE_ATTRIBUTE:
            _attribute(value, outline, depth)


def _texts(content: memoryview, wanted: int, outline: _Outline) -> list[str]:
    parts = outline.reader.fields(content)
    return [bytes(value).decode() for number, value in parts if number == wanted and isinstance(value, memoryview)]


def _attribute(content: memoryview, outline: _Outline, depth: int) -> None:
    for number, value in outline.reader.fields(content):
        if not isinstance(value, memoryview):
            continue
        if number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
            _tensor(value, outline)
        elif number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
            _graph(value, outline, depth + 1)
        elif number == _ATTRIBUTE_SPARSE:
            outline.faults.append("sparse weights; only plain ones are run")


def _tensor(content: memoryview, outline: _Outline) -> None:
    """Check a tensor's type, its size against its bytes, and that none of its numbers is NaN."""
    dims: list[int] = []
    dtype, raw = 0, None
    for number, value in outline.reader.fields(content):
        if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
            outline.faults.append("weights in another file; all weights must be inside")
        elif number == _TENSOR_DIMS and len(dims) <= MAX_DIMS:
            dims += integers(value)
        elif number == _TENSOR_TYPE and isinstance(value, int):
            dtype = value
        elif number == _TENSOR_RAW and isinstance(value, memoryview):
            raw = value
        elif number in (_FLOAT_DATA, _DOUBLE_DATA) and isinstance(value, memoryview):
            _check_finite(value, "<f4" if number == _FLOAT_DATA else "<f8", outline)
    if dtype not in _DTYPES:
        outline.faults.append(f"weights of the data type {dtype}; valid: {sorted(_DTYPES)}")
        return
    _check_size(dims, len(content) if raw is None else len(raw) // np.dtype(_DTYPES[dtype]).itemsize, outline)
    if raw is not None:
        _check_finite(raw, _DTYPES[dtype], outline)


def _check_size(dims: list[int], most: int, outline: _Outline) -> None:
    """Refuse a tensor that declares more elements than its bytes can hold."""
    size = 1
    for side in dims:
        size *= side if side >= 0 else most + 1
    if len(dims) > MAX_DIMS or any(side < 0 for side in dims) or size > most:
        outline.faults.append(f"weights of shape {dims[:MAX_DIMS]} that its bytes do not hold")


def _check_finite(values: memoryview, dtype: str, outline: _Outline) -> None:
    width = np.dtype(dtype).itemsize
    if len(values) % width:
        outline.faults.append("weights that end within a number")
    elif np.dtype(dtype).kind == "f" and np.isnan(np.frombuffer(values, dtype)).any():
        outline.faults.append("weights that are NaN")


def _note(content: memoryview, outline: _Outline) -> None:
    """Note a weight's name, and its value where it is one 64-bit whole number, written as raw bytes."""
    found = dict(outline.reader.fields(content))
    name, raw = found.get(_TENSOR_NAME), found.get(_TENSOR_RAW)
    called = bytes(name).decode() if isinstance(name, memoryview) else ""
    if not called or called in outline.weights:
        outline.faults.append(f"two weights of the name {called!r}" if called else "a weight without a name")
    outline.weights.add(called)
    if found.get(_TENSOR_TYPE) == _INT64 and isinstance(raw, memoryview) and len(raw) == 8:
        outline.numbers.setdefault(called, []).append(bytes(raw))
