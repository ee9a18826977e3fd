"""Which arithmetic this machine is good at."""

from pathlib import Path
from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16"]


def is_first_process() -> bool:
    """Tell whether this process is the only one of a training, or the one of several that writes and speaks."""
    from accelerate import PartialState  # type: ignore[import-untyped]

    return bool(PartialState().is_main_process)


def has_fast_bf16(device: torch.device) -> bool:
    """Tell whether matrix products in bfloat16 are done by the hardware; elsewhere they are emulated and slow."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    cpu_info = Path("/proc/cpuinfo")
    if device.type != "cpu" or not cpu_info.exists():
        return False
    flags = next((line.split() for line in cpu_info.read_text().splitlines() if line.startswith("flags")), [])
    return "amx_bf16" in flags or "avx512_bf16" in flags


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Give the autocast context for a precision; auto is bf16 where it is fast and fp32 elsewhere."""
    enabled = precision == "bf16" or (precision == "auto" and has_fast_bf16(device))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
