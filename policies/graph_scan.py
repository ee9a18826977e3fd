"""Reads the outline of an ONNX file without the onnx package, so that a robot refuses what no exported policy holds."""

from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_NODES = 200_000
MAX_DEPTH = 8
DOMAINS = ("", "ai.onnx")
BRANCHES = ("Scan", "If", "SequenceMap")
"""Operators that run other graphs and that no exported policy has."""
MAX_ROWS = 200
"""Turns of the one loop that a policy may have, its sampler's; Heun takes 199 in 100 steps."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Field numbers of onnx/onnx.proto, Apache-2.0.
_MODEL_OPSET, _MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 8, 7, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = 5, 6, 10, 11, 22
_TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 2, 8, 9, 13, 14
_INT64 = 7


@dataclass
class _Outline:
    faults: list[str] = field(default_factory=list)
    n_nodes: int = 0
    loops: list[list[str]] = field(default_factory=list)
    """Names of the inputs of each loop: how many turns, whether to begin, and what it carries."""
    numbers: dict[str, list[bytes]] = field(default_factory=dict)
    """Weights of the outermost graph that are a single whole number, as little-endian bytes, by name."""
    computed: set[str] = field(default_factory=set)
    """Names that nodes of the outermost graph give out."""


def graph_faults(content: bytes) -> list[str]:
    """List what keeps an ONNX file from being loaded.

    Refused are external data, custom operators, functions, control flow other than one loop of a fixed, small number of
    turns, and what is no ONNX file at all.
    """
    outline = _Outline()
    try:
        _model(memoryview(content), outline)
    except (ValueError, IndexError) as error:
        outline.faults.append(f"not an ONNX file ({error})")
    return list(dict.fromkeys(outline.faults))


def _model(content: memoryview, outline: _Outline) -> None:
    n_graphs = 0
    for number, value in _fields(content):
        if number == _MODEL_GRAPH and isinstance(value, memoryview):
            n_graphs += 1
            _graph(value, outline, 0)
        elif number == _MODEL_OPSET and isinstance(value, memoryview):
            domain = b"".join(bytes(v) for n, v in _fields(value) if n == 1 and isinstance(v, memoryview)).decode()
            if domain not in DOMAINS:
                outline.faults.append(f"operators of domain {domain!r}; only the standard ones are run")
        elif number in (_MODEL_FUNCTIONS, _MODEL_TRAINING):
            outline.faults.append("functions or training graphs; only one plain graph is run")
    if n_graphs != 1:
        outline.faults.append(f"{n_graphs} graphs; expected one")
    _check_loops(outline)


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
    for number, value in _fields(content):
        if not isinstance(value, memoryview):
            continue
        if number == _GRAPH_NODE:
            outline.n_nodes += 1
            if outline.n_nodes > MAX_NODES:
                raise ValueError(f"more than {MAX_NODES} nodes")
            _node(value, outline, depth)
        elif number == _GRAPH_INITIALIZER:
            _tensor(value, outline)
            if depth == 0:
                _number(value, outline)
        elif number == _GRAPH_SPARSE:
            outline.faults.append("sparse weights; only plain ones are run")


def _node(content: memoryview, outline: _Outline, depth: int) -> None:
    for number, value in _fields(content):
        if not isinstance(value, memoryview):
            continue
        if number == _NODE_OUTPUT and depth == 0:
            outline.computed.add(bytes(value).decode())
        elif number == _NODE_DOMAIN and bytes(value).decode() not in DOMAINS:
            outline.faults.append(f"operators of domain {bytes(value).decode()!r}; only the standard ones are run")
        elif number == _NODE_OP and bytes(value).decode() in BRANCHES:
            outline.faults.append(f"the operator {bytes(value).decode()!r}; a policy has no branches")
        elif number == _NODE_OP and bytes(value) == b"Loop":
            if depth:
                outline.faults.append("a loop within a loop")
            names = (bytes(v).decode() for n, v in _fields(content) if n == _NODE_INPUT and isinstance(v, memoryview))
            outline.loops.append(list(names))
        elif number == _NODE_ATTRIBUTE:
            _attribute(value, outline, depth)


def _attribute(content: memoryview, outline: _Outline, depth: int) -> None:
    for number, value in _fields(content):
        if not isinstance(value, memoryview):
            continue
        if number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
            _tensor(value, outline)
        elif number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
            _graph(value, outline, depth + 1)
        elif number == _ATTRIBUTE_SPARSE:
            outline.faults.append("sparse weights; only plain ones are run")


def _tensor(content: memoryview, outline: _Outline) -> None:
    for number, value in _fields(content):
        if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
            outline.faults.append("weights in another file; all weights must be inside")


def _number(content: memoryview, outline: _Outline) -> None:
    """Note a tensor that is one 64-bit whole number, written as raw bytes."""
    found = dict(_fields(content))
    name, raw = found.get(_TENSOR_NAME), found.get(_TENSOR_RAW)
    if not isinstance(name, memoryview) or not isinstance(raw, memoryview):
        return
    if found.get(_TENSOR_TYPE) == _INT64 and len(raw) == 8:
        outline.numbers.setdefault(bytes(name).decode(), []).append(bytes(raw))


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Walk the fields of one protobuf message: (field number, integer or bytes)."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(content, at)
            yield number, value
        elif kind == _BYTES:
            size, at = _varint(content, at)
            yield number, _cut(content, at, size)
            at += size
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
            yield number, _cut(content, at, size)
            at += size
        else:
            raise ValueError(f"wire type {kind}")


def _cut(content: memoryview, at: int, size: int) -> memoryview:
    if at + size > len(content):
        raise ValueError("it ends too early")
    return content[at : at + size]


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than 64 bits")
