"""Smaller weights for a robot's CPU: matrices in 8 bits, everything else as it is."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import onnx

Precision = Literal["fp32", "int8"]


def quantized(model: onnx.ModelProto, precision: Precision) -> onnx.ModelProto:
    """Give a network in the asked precision.

    int8 stores weights per output channel and quantises activations as they come (ONNX Runtime's dynamic scheme).
    Weights use 7 of the 8 bits: on CPUs without VNNI sums of full products would saturate.
    """
    if precision == "fp32":
        return model
    from onnxruntime.quantization import QuantType, quantize_dynamic

    del model.graph.value_info[:]  # The exporter's shapes are stale to the quantizer.
    with tempfile.TemporaryDirectory() as folder, _quiet():
        file = Path(folder) / "int8.onnx"
        quantize_dynamic(
            model,
            file,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer's advice on other ways of exporting from the user."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
