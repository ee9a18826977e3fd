"""Reads back what the demo's commands wrote: figures as JSON, curves as CSV."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np

from ashore.cli.demo.charts import Rate
from ashore.cli.demo.recipe import CONTENDERS, Files, Recipe
from ashore.policies.intervals import wilson

PACKAGES = ("ashore", "torch", "mujoco", "pybullet", "onnxruntime", "numpy", "zarr", "ros-rclpy")
Curve = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Results:
    """Everything that the demo measured."""

    recipe: Recipe
    evaluations: Mapping[str, Mapping[str, Any]]
    """What `ashore evaluate` wrote for teacher and student in simulation."""
    harsh: Mapping[str, Mapping[str, Any]]
    """The same on the reference reality, {policy: ...}."""
    deployments: Mapping[str, Mapping[str, Any]]
    """What `ashore deploy` wrote, {profile: ...}."""
    ranking: Mapping[str, Any]
    """What `ashore rank` wrote."""
    curves: Mapping[str, Curve]
    """Training losses, {run: (updates, losses)}."""
    clips: Mapping[str, bytes]
    """GIFs, {engine: bytes}."""
    seconds: Mapping[str, float]
    """Wall time of each step."""
    wall_s: float
    versions: Mapping[str, str]

    def rate(self, evaluation: Mapping[str, Any], label: str) -> Rate:
        """Give an evaluation's success as a rate."""
        return make_rate(label, sum(evaluation["success"]), evaluation["episodes"])

    def deployed_rate(self, profile: str) -> Rate:
        """Give a deployment's success as a rate."""
        summary = self.deployments[profile]["summary"]
        return make_rate(f"twin over ROS 2, {profile}", summary["n_success"], summary["n_episodes"])

    def samples(self, name: str) -> list[float]:
        """Join one kind of sample of all deployments, such as inference_ms."""
        return [value for deployment in self.deployments.values() for value in deployment[name]]


def make_rate(label: str, successes: int, n: int) -> Rate:
    """Make a rate with its 95 % Wilson interval."""
    interval = wilson(successes, n)
    return Rate(label, successes, n, interval.low, interval.high)


def read_results(recipe: Recipe, files: Files, seconds: Mapping[str, float], wall_s: float) -> Results:
    """Read every file that the demo's steps wrote."""
    names = ("student", *(CONTENDERS if recipe.contender_episodes else ()))
    return Results(
        recipe=recipe,
        evaluations={name: _json(files.result(name)) for name in ("teacher", "student")},
        harsh={name: _json(files.result(f"harsh-{name}")) for name in names},
        deployments={profile: _json(files.result(profile)) for profile in recipe.twin_profiles},
        ranking=_json(files.out / "ranking" / "ranking.json"),
        curves={name: _curve(files.run(name) / "metrics.csv") for name in ("teacher", *names)},
        clips={name: files.clip(name).read_bytes() for name in ("clip-simulation", "clip-twin")},
        seconds=dict(seconds),
        wall_s=wall_s,
        versions={"python": python_version(), **{name: metadata.version(name) for name in PACKAGES}},
    )


def summarize(results: Results) -> dict[str, Any]:
    """Sum up the demo as the numbers of summary.json, units in the names."""
    deployed = [results.deployments[profile]["summary"] for profile in results.recipe.twin_profiles]
    student, teacher = results.evaluations["student"], results.evaluations["teacher"]
    inference_ms, period_ms = results.samples("inference_ms"), results.samples("command_period_ms")
    return {
        "robot": results.recipe.robot,
        "sim_success": student["success_rate"],
        "consistency_success": student["success_rate"],
        "teacher_success": teacher["success_rate"],
        "twin_success": sum(s["n_success"] for s in deployed) / sum(s["n_episodes"] for s in deployed),
        "twin_success_by_profile": {s["profile"]: [s["n_success"], s["n_episodes"]] for s in deployed},
        "sim_metrics_median": {name: _median(values) for name, values in student["metrics"].items()},
        "inference_ms_p50": float(np.percentile(inference_ms, 50)),
        "inference_ms_p99": float(np.percentile(inference_ms, 99)),
        "command_period_ms_p99": float(np.percentile(period_ms, 99)),
        "command_period_error_ms_p99": max(s["command_period_error_ms_p99"] for s in deployed),
        "command_period_error_over_bare_loop": {
            s["profile"]: round(s["command_period_error_ms_p99"] / s["bare_period_error_ms_p99"], 2) for s in deployed
        },
        "twin_metrics_mean": {
            s["profile"]: {name.removesuffix("_mean"): s[name] for name in s if name.endswith("_mean")}
            for s in deployed
        },
        "guard_interventions": sum(s["guard_interventions"] for s in deployed),
        "guard_stops": sum(s["guard_stops"] for s in deployed),
        "wall_s": round(results.wall_s, 1),
        "stages_s": {name: round(value, 1) for name, value in results.seconds.items()},
        "versions": dict(results.versions),
    }


def _median(values: list[float | None]) -> float | None:
    finite = [value for value in values if value is not None]
    return float(np.median(finite)) if finite else None


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _curve(path: Path) -> Curve:
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("loss")]
    return [float(row["update"]) for row in rows], [float(row["loss"]) for row in rows]
