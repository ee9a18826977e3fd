"""ONNX files that no exporter wrote: {name: (what the refusal says, how to make the bytes)}."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from bundle_cases import HORIZONS, TO, TP, WIDTH, graph
from onnx import TensorProto, helper, numpy_helper

Graph = Callable[[], bytes]
RNG = np.random.default_rng(7)


def changed(change: Callable[[onnx.ModelProto], object]) -> Graph:
    """The good graph after a change."""

    def make() -> bytes:
        model = graph()
        change(model)
        return bytes(model.SerializeToString())

    return make


def outside(**where: str) -> Graph:
    """A weight that lies in another file."""

    def change(model: onnx.ModelProto) -> None:
        weight = model.graph.initializer[2]
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in where.items():
            weight.external_data.add(key=key, value=value)

    return changed(change)


def prepended(*nodes: onnx.NodeProto, weights: dict[str, Any] | None = None, into: str = "") -> Graph:
    """The good graph with nodes before its own; `into` takes the place of obs where the graph reads it."""

    def change(model: onnx.ModelProto) -> None:
        for name, value in (weights or {}).items():
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        if into:
            model.graph.node[0].input[0] = into
        for place, node in enumerate(nodes):
            model.graph.node.insert(place, node)

    return changed(change)


def node(*words: Any, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(*words, **attributes)


def body(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    info = helper.make_tensor_value_info
    ends = [helper.make_node("Identity", ["go_on"], ["go_on_next"])]
    shape = ["batch", TO, WIDTH]
    return helper.make_graph(
        [*ends, *nodes],
        "body",
        [info("i", TensorProto.INT64, []), info("go_on", TensorProto.BOOL, []), info("x", TensorProto.FLOAT, shape)],
        [info("go_on_next", TensorProto.BOOL, []), info("y", TensorProto.FLOAT, shape)],
    )


def loop(turns: str, *nodes: onnx.NodeProto, begin: str = "") -> onnx.NodeProto:
    return node("Loop", [turns, begin, "obs"], ["looped"], body=body(*(nodes or (node("Identity", ["x"], ["y"]),))))


def nested(depth: int) -> onnx.GraphProto:
    inner = body(node("Identity", ["x"], ["y"]))
    for _ in range(depth):
        inner = body(node("Loop", ["turns", "", "x"], ["y"], body=inner))
    return inner


def functions(depth: int) -> Graph:
    """Functions that call one another, without end where depth is 1."""

    def change(model: onnx.ModelProto) -> None:
        for i in range(depth):
            call = node(f"f{(i + 1) % depth}", ["a"], ["b"], domain="own")
            model.functions.append(
                helper.make_function("own", f"f{i}", ["a"], ["b"], [call], [helper.make_opsetid("own", 1)])
            )
        model.opset_import.append(helper.make_opsetid("own", 1))
        model.graph.node.insert(0, node("f0", ["obs"], ["unused"], domain="own"))

    return changed(change)


def weight(index: int, **fields: Any) -> Graph:
    """The good graph, one of whose weights has other fields."""

    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[index]
        for name, value in fields.items():
            if name == "dims":
                tensor.dims[:] = value
            else:
                setattr(tensor, name, value)

    return changed(change)


def face(name: str, elem: int = TensorProto.FLOAT, shape: tuple[Any, ...] = ("batch", TO, WIDTH)) -> Graph:
    """The good graph, one of whose inputs or outputs is told otherwise."""

    def change(model: onnx.ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            if value.name == name:
                value.CopyFrom(helper.make_tensor_value_info(name, elem, shape))

    return changed(change)


def renamed(old: str, new: str) -> Graph:
    def change(model: onnx.ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.name = new if value.name == old else value.name
        for each in model.graph.node:
            each.input[:] = [new if name == old else name for name in each.input]
            each.output[:] = [new if name == old else name for name in each.output]

    return changed(change)


def slow() -> bytes:
    """200 turns of 40 products of matrices, in a file of 4 MB: hours on one core."""
    side = 1000
    steps = [node("MatMul", ["square", "square"], ["p0"])]
    steps += [node("MatMul", [f"p{i}", "square"], [f"p{i + 1}"]) for i in range(40)]
    ends = [
        # The product must depend on the turn, else it is computed once.
        node("ReduceMean", ["p40"], ["mean"], keepdims=0),
        node("Mul", ["mean", "nothing"], ["zero"]),
        node("Add", ["x", "zero"], ["y"]),
    ]
    first = [node("Cast", ["i"], ["turn"], to=TensorProto.FLOAT), node("Add", ["square", "turn"], ["p_"])]
    steps[0].input[0] = "p_"
    square = np.full((side, side), 1e-3, np.float32)
    weights = {"turns": np.int64(200), "square": square, "nothing": np.float32(0)}
    return prepended(loop("turns", *first, *steps, *ends), weights=weights, into="looped")()


def large() -> bytes:
    """A tensor of 40 GB, asked for by two numbers."""
    first = node("Gather", ["flat_obs", "none"], ["one"], axis=0)
    reshaped = node("Reshape", ["obs", "minus"], ["flat_obs"])
    grown = node("Expand", ["one", "sides"], ["huge"])
    mean = node("ReduceMean", ["huge"], ["mean"], keepdims=0)
    scaled = node("Mul", ["mean", "nothing"], ["zero"])
    added = node("Add", ["obs", "zero"], ["grown"])
    weights = {
        "sides": np.array([100_000, 100_000], np.int64),
        "minus": np.array([-1], np.int64),
        "none": np.int64(0),
        "nothing": np.float32(0),
    }
    return prepended(reshaped, first, grown, mean, scaled, added, weights=weights, into="grown")()


def swelling() -> bytes:
    """Grows to 400 GB as soon as an observation is above 100, which no test vector is."""
    flat = node("Reshape", ["obs", "minus"], ["flat"])
    first = node("Gather", ["flat", "none"], ["one"], axis=0)
    above = node("Greater", ["one", "hundred"], ["above"])
    side = node("Where", ["above", "large", "small"], ["side"])
    grown = node("Expand", ["one", "side"], ["huge"])
    mean = node("ReduceMean", ["huge"], ["mean"], keepdims=0)
    scaled = node("Mul", ["mean", "nothing"], ["zero"])
    added = node("Add", ["obs", "zero"], ["grown"])
    weights = {
        "minus": np.array([-1], np.int64),
        "none": np.int64(0),
        "hundred": np.float32(100),
        "large": np.array([10**11], np.int64),
        "small": np.array([1], np.int64),
        "nothing": np.float32(0),
    }
    return prepended(flat, first, above, side, grown, mean, scaled, added, weights=weights, into="grown")()


def divided() -> bytes:
    """A division of whole numbers by zero, which ends a process on many computers."""
    whole = node("Cast", ["obs"], ["whole"], to=TensorProto.INT64)
    zeros = node("Sub", ["whole", "whole"], ["zeros"])
    shares = node("Div", ["whole", "zeros"], ["shares"])
    back = node("Cast", ["shares"], ["back"], to=TensorProto.FLOAT)
    return prepended(whole, zeros, shares, back, into="back")()


def overflowing() -> bytes:
    """The one other division of whole numbers that has no result: the least one by -1."""
    whole = node("Cast", ["obs"], ["whole"], to=TensorProto.INT64)
    none = node("Sub", ["whole", "whole"], ["none"])
    least = node("Add", ["none", "int64_min"], ["least"])
    shares = node("Div", ["least", "minus_one"], ["shares"])
    back = node("Cast", ["shares"], ["back"], to=TensorProto.FLOAT)
    weights = {"int64_min": np.int64(-(2**63)), "minus_one": np.int64(-1)}
    return prepended(whole, none, least, shares, back, weights=weights, into="back")()


def not_a_number() -> bytes:
    return prepended(
        node("Log", ["minus_one"], ["nan"]),
        node("Add", ["obs", "nan"], ["bad"]),
        weights={"minus_one": np.float32(-1)},
        into="bad",
    )()


def many(n: int) -> Graph:
    return changed(lambda model: model.graph.node.extend([node("Identity", ["obs"], [f"n{i}"]) for i in range(n)]))


def swelled(length: int) -> bytes:
    """Nothing but fields that say nothing."""
    return b"\x08\x01" * length


def horizons(**changes: Any) -> Graph:
    return lambda: bytes(graph({**HORIZONS, **changes}).SerializeToString())


def sparse(model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.float32([1.0]), "sparse")
    indices = numpy_helper.from_array(np.int64([0]), "where")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3]))


def second_graph() -> bytes:
    raw = bytes(graph().SerializeToString())
    return raw + raw


INT64_MAX = 2**63 - 1
OUT = "weights in another file"
TURNS = "a loop without a fixed number of turns"
GRAPHS: dict[str, tuple[str, Graph]] = {
    "external_beside": (OUT, outside(location="weights.bin")),
    "external_above": (OUT, outside(location="../../etc/passwd")),
    "external_absolute": (OUT, outside(location="/etc/passwd")),
    "external_device": (OUT, outside(location="/dev/zero", offset="0", length="4")),
    "external_offset": (OUT, outside(location="w", offset=str(2**62), length=str(2**62))),
    "external_url": (OUT, outside(location="file:///etc/passwd")),
    "external_attribute_injection": (OUT, outside(location="w", __class__="os.system", checksum="x")),
    "external_without_location": (OUT, outside()),
    "external_and_raw": (OUT, changed(lambda m: m.graph.initializer[2].external_data.add(key="location", value="w"))),
    "external_in_constant": (
        OUT,
        prepended(
            node(
                "Constant",
                [],
                ["c"],
                value=TensorProto(
                    data_type=1,
                    dims=[1],
                    data_location=TensorProto.EXTERNAL,
                    external_data=[onnx.StringStringEntryProto(key="location", value="/etc/passwd")],
                ),
            )
        ),
    ),
    "custom_domain": ("domain 'evil'", prepended(node("Run", ["obs"], ["u"], domain="evil"))),
    "runtime_domain": (
        "domain 'com.microsoft'",
        prepended(node("FusedMatMul", ["obs", "obs"], ["u"], domain="com.microsoft")),
    ),
    "imported_domain": ("domain 'evil'", changed(lambda m: m.opset_import.append(helper.make_opsetid("evil", 1)))),
    "unknown_operator": ("the operator 'System'", prepended(node("System", ["obs"], ["u"]))),
    "chance": ("the operator 'RandomNormal'", prepended(node("RandomNormal", [], ["u"], shape=[3]))),
    "range": ("the operator 'Range'", prepended(node("Range", ["last", "last", "last"], ["u"]))),
    "pictures": ("the operator 'ImageDecoder'", prepended(node("ImageDecoder", ["obs"], ["u"]))),
    "text": ("the operator 'StringNormalizer'", prepended(node("StringNormalizer", ["obs"], ["u"]))),
    "branch": ("the operator 'If'", prepended(node("If", ["c"], ["u"], then_branch=body(), else_branch=body()))),
    "scan": ("the operator 'Scan'", prepended(node("Scan", ["obs"], ["u"], body=body(), num_scan_inputs=1))),
    "sequence_map": ("the operator 'SequenceMap'", prepended(node("SequenceMap", ["obs"], ["u"], body=body()))),
    "loop_without_end": (TURNS, prepended(loop("turns"), weights={"turns": np.int64(INT64_MAX)})),
    "loop_without_number": (TURNS, prepended(loop(""))),
    "loop_of_negative_turns": (TURNS, prepended(loop("turns"), weights={"turns": np.int64(-1)})),
    "loop_by_data": (TURNS, prepended(node("Cast", ["obs"], ["turns"], to=TensorProto.INT64), loop("turns"))),
    "loop_by_condition": (
        TURNS,
        prepended(loop("turns", begin="go"), weights={"turns": np.int64(5), "go": np.array(True)}),
    ),
    "loop_twice": (
        "2 loops",
        prepended(loop("turns"), loop("turns"), weights={"turns": np.int64(5)}),
    ),
    "loops_nested": (
        "a loop within a loop",
        prepended(loop("turns", node("Loop", ["turns", "", "x"], ["y"], body=body())), weights={"turns": np.int64(5)}),
    ),
    "graphs_nested_deep": (
        "nested deeper than 8",
        prepended(node("Loop", ["turns", "", "obs"], ["u"], body=nested(15)), weights={"turns": np.int64(5)}),
    ),
    "function_that_calls_itself": ("functions", functions(1)),
    "functions_in_a_long_chain": ("functions", functions(3000)),
    "training_graph": ("training graphs", changed(lambda m: m.training_info.add())),
    "sparse_weights": ("sparse weights", changed(sparse)),
    "text_weights": (
        "data type 8",
        changed(lambda m: m.graph.initializer.append(helper.make_tensor("s", 8, [1], [b"x"]))),
    ),
    "half_weights": (
        "data type 10",
        changed(lambda m: m.graph.initializer.append(numpy_helper.from_array(np.float16([1]), "h"))),
    ),
    "weights_of_no_type": ("data type 0", weight(2, data_type=0)),
    "weights_of_huge_sides": ("its bytes do not hold", weight(2, dims=[2**40])),
    "weights_of_sides_that_overflow": ("its bytes do not hold", weight(2, dims=[2**32, 2**32])),
    "weights_of_negative_sides": ("its bytes do not hold", weight(2, dims=[-1])),
    "weights_of_many_sides": ("its bytes do not hold", weight(2, dims=[1] * 1000)),
    "weights_cut_short": ("weights", weight(2, raw_data=b"\0\0")),
    "weights_are_nan": ("NaN", weight(2, raw_data=np.float32("nan").tobytes())),
    "weights_are_infinite": (r"cannot be run|tolerances away", weight(2, raw_data=np.float32("inf").tobytes())),
    "weights_of_another_policy": ("tolerances away", weight(2, raw_data=np.float32(0.2).tobytes())),
    "weights_missing": ("cannot open", changed(lambda m: m.graph.initializer.pop())),
    "weights_twice": (
        "two weights of the name 'last'",
        changed(lambda m: m.graph.initializer.append(m.graph.initializer[0])),
    ),
    "input_renamed": ("inputs and outputs", renamed("obs", "observation")),
    "output_renamed": ("inputs and outputs|cannot be run", renamed("actions", "action")),
    "input_too_many": (
        "inputs and outputs",
        changed(lambda m: m.graph.input.append(helper.make_tensor_value_info("goal", TensorProto.FLOAT, [1]))),
    ),
    "input_of_doubles": ("cannot open|tensor", face("obs", TensorProto.DOUBLE)),
    "input_of_text": ("cannot open|tensor", face("obs", TensorProto.STRING)),
    "input_narrower": ("cannot open|the contract needs", face("obs", shape=("batch", TO, 2))),
    "input_huge": ("cannot open|the contract needs", face("obs", shape=("batch", 2**31, 2**31))),
    "input_without_shape": ("cannot open|the contract needs", face("obs", shape=())),
    "output_of_doubles": ("cannot open|tensor", face("actions", TensorProto.DOUBLE, ("batch", TP, WIDTH))),
    "output_larger": ("cannot open|the contract needs", face("actions", shape=("batch", TP, 10**9))),
    "batch_fixed": ("cannot open|the contract needs", face("actions", shape=(4, TP, WIDTH))),
    "cycle": ("cannot open", changed(lambda m: m.graph.node[0].input.__setitem__(0, "actions"))),
    "future_opset": ("cannot open", changed(lambda m: setattr(m.opset_import[0], "version", 10_000))),
    "future_form": ("cannot open", changed(lambda m: setattr(m, "ir_version", 10_000))),
    "no_opset": ("cannot open", changed(lambda m: m.ClearField("opset_import"))),
    "too_many_nodes": ("more than 20000 nodes", many(20_001)),
    "too_many_fields": ("more than 1000000 fields", lambda: swelled(1_000_001)),
    "two_graphs": ("2 graphs", second_graph),
    "no_graph": ("0 graphs", lambda: b"\x08\x08"),
    "empty": ("0 graphs", lambda: b""),
    "cut_short": ("not an ONNX file", lambda: bytes(graph().SerializeToString())[:-30]),
    "random_bytes": ("not an ONNX file|graphs", lambda: np.random.default_rng(1).bytes(4096)),
    "pickle": (
        "not an ONNX file",
        lambda: b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    ),
    "endless_number": ("not an ONNX file", lambda: b"\xff" * 64),
    "group_fields": ("wire type 3", lambda: b"\x0b" * 10_000),
    "horizons_missing": ("metadata lacks", lambda: bytes(graph({}).SerializeToString())),
    "metadata_is_no_text": (
        "names are no text",
        lambda: bytes(graph().SerializeToString()).replace(b"obs_horizon", b"obs_\xff\xferizon"),
    ),
    "horizons_as_text": ("metadata lacks", horizons(obs_horizon="two")),
    "horizons_of_many_digits": ("metadata lacks", horizons(obs_horizon="9" * 5000)),
    "horizons_negative": ("do not fit", horizons(action_horizon=-4)),
    "horizons_huge": ("noise has|do not fit|the contract needs", horizons(prediction_horizon=10**18)),
    "outputs_are_nan": ("tolerances away", not_a_number),
    "divides_by_zero": ("division by zero|signal|tolerances away", divided),
    "divides_beyond_its_numbers": ("signal|cannot be run|tolerances away", overflowing),
    "asks_for_40_gb": ("cannot be run|cannot open", large),
    "swells_later": ("a size that depends on what is observed", swelling),
    "computes_for_hours": ("signal|ended the process", slow),
}
