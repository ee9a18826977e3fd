"""ONNX Runtime as a bundle uses it: from memory, on one thread that sleeps while it waits, on the CPU."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FAULTS = (
    "EPFail",
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "NotImplemented",
    "RuntimeException",
)


def open_session(graph: bytes) -> "InferenceSession":
    """Open a graph; what is not in order is one of session_faults()."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def session_faults() -> tuple[type[Exception], ...]:
    """The exceptions with which the runtime refuses a graph or its inputs."""
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    return (*(getattr(runtime, name) for name in FAULTS), MemoryError, ValueError)
