"""The gap between MuJoCo and the twin's engine on one scene: steps, slides, a drop, pushes, grasps; and a plot."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ashore.cli.demo.charts import BLUE, GREY, INK, MUTED, ORANGE, STYLE
from ashore.datasets.progress import Progress
from ashore.sim.tasks.pick_place import PickPlace
from ashore.sim.twin import gap
from benchmarks.row import Row

COLOURS = {"MuJoCo": BLUE, "twin": ORANGE}
DOTS_PER_INCH = 130


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Measure every trial once, they repeat to the bit; the plot is put into the folder. --quick leaves grasps out."""
    task, total = PickPlace(), 4 if quick else 5
    steps, slide, drop, push = (
        _told(trial(task), progress, number, total)
        for number, trial in enumerate((gap.joint_steps, gap.slide, gap.drop, gap.push), start=1)
    )
    grasps = None if quick else gap.grasps(task)
    progress(total, total, "trials")
    folder.mkdir(parents=True, exist_ok=True)
    draw(folder / "twin_gap.png", task, {"steps": steps, "slide": slide, "drop": drop, "push": push}, grasps)
    rms = 1e3 * np.sqrt(np.mean(np.square(steps.difference()), axis=1))
    way, ideal = {name: value[:, -1] for name, value in slide.values.items()}, gap.stop_distances_m()
    ends = push.difference()[:, -1]
    rows = [
        Row.of("joint steps of 0.2 rad: worst joint's difference, rms", float(rms.max()), "mrad", "<=", 5.0),
        Row.of("the same once settled", 1e3 * float(np.abs(steps.difference()[:, -1]).max()), "mrad", "<=", 1.0),
        *(
            Row.of(
                f"slide in {name}: worst departure from Coulomb", float(np.abs(way[name] / ideal - 1).max()), "share"
            )
            for name in gap.ENGINES
        ),
        Row.of("drop of 0.1 m: dip in MuJoCo", -1e3 * float(drop.values["MuJoCo"].min()), "mm"),
        Row.of("drop of 0.1 m: dip in the twin", -1e3 * float(drop.values["twin"].min()), "mm"),
        Row.of("drop: difference once settled", 1e3 * abs(float(drop.difference()[0, -1])), "mm", "<=", 1.0),
        Row.of("push of 0.12 m: worst difference in place", 1e3 * float(np.hypot(*ends[:, :2].T).max()), "mm"),
        Row.of("push of 0.12 m: worst difference in yaw", float(np.degrees(np.abs(ends[:, 2]).max())), "deg"),
    ]
    if grasps is None:
        return rows
    held = {name: lift >= gap.HELD_M for name, lift in grasps.items()}
    same = float(np.mean(held["MuJoCo"] == held["twin"]))
    return [*rows, Row.of(f"grasps over mass and friction that end alike, of {held['twin'].size}", same, "share")]


def _told(trace: gap.Trace, progress: Progress, done: int, total: int) -> gap.Trace:
    progress(done, total, "trials")
    return trace


def draw(path: Path, task: PickPlace, traces: dict[str, gap.Trace], grasps: object) -> None:
    """Draw what both engines did side by side, as PNG."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 6.4), layout="constrained")
        axes = np.ravel(figure.subplots(2, 3))
        _steps(axes[0], traces["steps"], len(task.arm.spec.joints))
        _slide(axes[1], traces["slide"])
        _drop(axes[2], traces["drop"])
        _push(axes[3], axes[4], traces["push"])
        _grasps(axes[5], grasps)
        figure.suptitle("One scene, two engines, the same controls", x=0.01, ha="left", color=INK)
        figure.savefig(path, dpi=DOTS_PER_INCH)


def _steps(axes: Axes, trace: gap.Trace, n_joints: int) -> None:
    for joint in range(n_joints):
        shade = joint / max(1, n_joints - 1)
        axes.plot(
            trace.time_s, 1e3 * trace.difference()[joint], color=mpl.colormaps["viridis"](shade), label=f"{joint + 1}"
        )
    axes.legend(fontsize=7, ncols=4, frameon=False, title="joint", title_fontsize=7)
    _label(axes, "Step of 0.2 rad: twin minus MuJoCo", "s", "mrad")


def _slide(axes: Axes, trace: gap.Trace) -> None:
    for name, values in trace.values.items():
        for number, way in enumerate(values):
            axes.plot(
                trace.time_s,
                1e3 * way,
                color=COLOURS[name],
                linestyle="-" if name == "MuJoCo" else "--",
                label=name if not number else None,
            )
    for distance in 1e3 * gap.stop_distances_m():
        axes.axhline(distance, color=GREY, linewidth=0.8, linestyle=":")
    axes.legend(fontsize=8, frameon=False)
    _label(axes, "Slide (dotted: Coulomb)", "s", "mm")


def _drop(axes: Axes, trace: gap.Trace) -> None:
    for name, values in trace.values.items():
        axes.plot(trace.time_s, 1e3 * values[0], color=COLOURS[name], label=name)
    axes.set_xlim(0.12, 0.3)
    axes.set_ylim(-4, 12)
    axes.legend(fontsize=8, frameon=False)
    _label(axes, "Drop of 0.1 m: the landing", "s", "mm above rest")


def _push(place: Axes, turn: Axes, trace: gap.Trace) -> None:
    offsets = 1e3 * np.array(gap.PUSH_OFFSETS_M)
    for name, values in trace.values.items():
        place.plot(offsets, 1e3 * values[:, -1, 1], "o-", color=COLOURS[name], label=name)
        turn.plot(offsets, np.degrees(values[:, -1, 2]), "o-", color=COLOURS[name], label=name)
    place.legend(fontsize=8, frameon=False)
    _label(place, "Push of 0.12 m: drift sideways", "mm off centre", "mm")
    _label(turn, "Push of 0.12 m: turn", "mm off centre", "deg")


def _grasps(axes: Axes, grasps: object) -> None:
    if not isinstance(grasps, dict):
        axes.set_axis_off()
        return
    held = {name: lift >= gap.HELD_M for name, lift in grasps.items()}
    for name, side in (("MuJoCo", -0.14), ("twin", 0.14)):
        for (row, column), good in np.ndenumerate(held[name]):
            face = COLOURS[name] if good else "none"
            axes.scatter(column + side, row, s=70, facecolor=face, edgecolor=COLOURS[name])
    axes.set_xticks(range(len(gap.FRICTION_SCALES)), [f"{value:g}" for value in gap.FRICTION_SCALES])
    axes.set_yticks(range(len(gap.MASS_SCALES)), [f"{50 * value:g} g" for value in gap.MASS_SCALES])
    axes.set_xlim(-0.5, len(gap.FRICTION_SCALES) - 0.5)
    axes.set_ylim(-0.5, len(gap.MASS_SCALES) - 0.5)
    _label(axes, "Grasp: filled where it held", "factor on every friction", "")


def _label(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.set_xlabel(across, fontsize=8)
    axes.set_ylabel(up, fontsize=8)
    axes.tick_params(labelsize=8, colors=MUTED)
