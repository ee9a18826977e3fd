"""The chart of an arm's step responses."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from ashore.cli.demo.charts import INK, MUTED, STYLE, make_figure

if TYPE_CHECKING:
    from ashore.sim.arms.trials import Response

SHOWN_TIME_CONSTANTS = 8.0
DOTS_PER_INCH = 150


def draw_steps(responses: "Sequence[Response]", servo_time_s: float, path: Path) -> None:
    """Draw every joint's way through its step beside the first-order lag that the arm's file promises, as PNG."""
    figure, axes = make_figure(7.0, 4.0)
    time_s = np.linspace(0.0, SHOWN_TIME_CONSTANTS * servo_time_s, 200)
    with mpl.rc_context(STYLE):
        lag = f"lag of servo_time_s = {servo_time_s:g} s"
        axes.plot(time_s, 1.0 - np.exp(-time_s / servo_time_s), color=MUTED, linestyle="--", linewidth=2.0, label=lag)
        for response in responses:
            label = f"{response.joint} ({response.rise_s:.3g} s)"
            axes.plot(response.time_s, response.moved, linewidth=1.2, label=label)
        axes.set_xlim(0.0, time_s[-1])
        axes.set_xlabel("s")
        axes.set_ylabel("share of the step")
        axes.set_title("A step of each joint's set-point, one at a time", color=INK, loc="left")
        axes.legend(frameon=False, fontsize=9)
        figure.savefig(path, dpi=DOTS_PER_INCH)
