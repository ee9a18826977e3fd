"""What the demo does for each robot: how much is collected, how long is trained, what it is tried on, as data.

Training is told in updates, so that a slower or busier machine takes longer and ends with the same policy.
"""

from dataclasses import dataclass
from pathlib import Path

from ashore.cli.demo.runner import Step

CONTENDERS = ("none", "narrow", "wide")
"""Randomization levels of the three quick policies that the ranking sets beside the main one."""


@dataclass(frozen=True)
class Recipe:
    """The demo of one robot."""

    robot: str
    task: str
    episodes: int
    """Demonstrations for the main policy: wide randomization, noise injected."""
    teacher_updates: int
    student_updates: int
    evaluation_episodes: int
    """Wide draws that teacher and student are each tried on in simulation."""
    twin_profiles: tuple[str, ...]
    """Realities that the bundle is deployed to over ROS 2, in real time."""
    twin_episodes: int
    """Episodes on each of them."""
    reference_profile: str
    """Reality in which the reference recordings are made, and which the ranking is compared with afterwards."""
    reference_episodes: int
    harsh_episodes: int
    """Episodes that every ranked policy is tried on in the reference reality, without ROS."""
    contender_episodes: int = 0
    """Clean demonstrations for each quick policy; 0 for none."""
    contender_updates: int = 0
    ranking_episodes: int = 100
    """Paired draws of the ranking."""
    prediction_horizon: int = 16
    headline: str = "placing_error_m"
    """The task's figure that stands among the first of the report."""


RECIPES = {
    "panda": Recipe(
        robot="panda",
        task="arm/pick-place",
        episodes=400,
        teacher_updates=5600,
        student_updates=1800,
        evaluation_episodes=200,
        twin_profiles=("arm_mild", "arm_hard"),
        twin_episodes=20,
        reference_profile="arm_harsh",
        reference_episodes=8,
        harsh_episodes=20,
        contender_episodes=200,
        contender_updates=1500,
    ),
    "crazyflie": Recipe(
        robot="crazyflie",
        task="quadrotor/hover",
        episodes=250,
        teacher_updates=1600,
        student_updates=600,
        evaluation_episodes=200,
        twin_profiles=("quadrotor_mild", "quadrotor_hard"),
        twin_episodes=10,
        reference_profile="quadrotor_harsh",
        reference_episodes=8,
        harsh_episodes=20,
        prediction_horizon=8,
        headline="hold_error_m",
    ),
}


@dataclass(frozen=True)
class Files:
    """Where the demo keeps what it makes."""

    out: Path

    def data(self, name: str) -> Path:
        """An episode store."""
        return self.out / "data" / name

    def run(self, name: str) -> Path:
        """A training run."""
        return self.out / "runs" / name

    def result(self, name: str) -> Path:
        """A JSON file of figures."""
        return self.out / "results" / f"{name}.json"

    def clip(self, name: str) -> Path:
        """A GIF."""
        return self.out / "clips" / f"{name}.gif"

    @property
    def bundle(self) -> Path:
        """The bundle that is deployed."""
        return self.out / "policy.ashore"


def make_steps(recipe: Recipe, files: Files) -> list[Step]:
    """List the demo's commands in an order that keeps two cores busy."""
    contenders = list(CONTENDERS) if recipe.contender_episodes else []
    steps = [_collect(recipe, files)]
    steps += [_collect_clean(recipe, files, level) for level in contenders]
    steps += [_train(recipe, files), *(_train_clean(recipe, files, level) for level in contenders)]
    steps += [_distill(recipe, files), _collect_reference(recipe, files)]
    steps += [_evaluate(recipe, files, name) for name in ("teacher", "student")]
    steps += [_rank(recipe, files, contenders)]
    steps += [_harsh(recipe, files, name) for name in ("student", *contenders)]
    steps += [_clip("clip-simulation", "Draw a demonstration in MuJoCo", files, "main", "mujoco", "collect")]
    steps += [_export(files), *(_deploy(recipe, files, profile) for profile in recipe.twin_profiles)]
    last = recipe.twin_profiles[-1]
    return [*steps, _clip("clip-twin", "Draw what the twin did under the policy", files, last, "twin", last)]


def _collect(recipe: Recipe, files: Files) -> Step:
    arguments = ("--task", recipe.task, "--episodes", str(recipe.episodes), "--out", str(files.data("main")))
    title = f"Collect {recipe.episodes} demonstrations: scripted expert, wide randomization, noise injected"
    return Step("collect", title, ("collect", *arguments, "--seed", "1"), alone=True)


def _collect_clean(recipe: Recipe, files: Files, level: str) -> Step:
    options = ("--episodes", str(recipe.contender_episodes), "--level", level, "--no-noise", "--seed", "2")
    arguments = ("collect", "--task", recipe.task, *options, "--out", str(files.data(level)))
    return Step(f"collect-{level}", f"Collect clean demonstrations, randomization: {level}", arguments)


def _collect_reference(recipe: Recipe, files: Files) -> Step:
    options = (
        "--episodes",
        str(recipe.reference_episodes),
        "--twin",
        recipe.reference_profile,
        "--no-noise",
        "--seed",
        "3",
    )
    arguments = ("collect", "--task", recipe.task, *options, "--out", str(files.data("reference")))
    title = f"Record {recipe.reference_episodes} reference episodes on the twin ({recipe.reference_profile})"
    return Step("reference", title, arguments)


def _train(recipe: Recipe, files: Files) -> Step:
    horizon = ("--prediction-horizon", str(recipe.prediction_horizon))
    options = ("--updates", str(recipe.teacher_updates), *horizon, "--out", str(files.run("teacher")))
    title = f"Train the teacher, a diffusion policy: {recipe.teacher_updates} updates on one thread"
    return Step("train", title, ("train", str(files.data("main")), *options), after=("collect",))


def _train_clean(recipe: Recipe, files: Files, level: str) -> Step:
    options = ("--updates", str(recipe.contender_updates), "--out", str(files.run(level)))
    arguments = ("train", str(files.data(level)), *options)
    return Step(f"train-{level}", f"Train a quick policy, randomization: {level}", arguments, (f"collect-{level}",))


def _distill(recipe: Recipe, files: Files) -> Step:
    options = ("--updates", str(recipe.student_updates), "--out", str(files.run("student")))
    title = f"Distil it into a one-step consistency policy: {recipe.student_updates} updates"
    return Step("distill", title, ("distill", str(files.run("teacher")), *options), after=("train",))


def _evaluate(recipe: Recipe, files: Files, name: str) -> Step:
    options = (
        "--task",
        recipe.task,
        "--episodes",
        str(recipe.evaluation_episodes),
        "--report",
        str(files.result(name)),
    )
    title = f"Evaluate the {name} closed loop on {recipe.evaluation_episodes} wide draws"
    after = ("train",) if name == "teacher" else ("distill",)
    return Step(f"evaluate-{name}", title, ("evaluate", str(files.run(name)), *options), after)


def _rank(recipe: Recipe, files: Files, contenders: list[str]) -> Step:
    runs = [str(files.run(name)) for name in ("student", *contenders)]
    options = ("--real", str(files.data("reference")), "--episodes", str(recipe.ranking_episodes))
    after = ("distill", "reference", *(f"train-{level}" for level in contenders))
    arguments = ("rank", *runs, *options, "--out", str(files.out / "ranking"))
    return Step(
        "rank", "Rank the policies: paired draws in simulation, distance to the reference recordings", arguments, after
    )


def _harsh(recipe: Recipe, files: Files, name: str) -> Step:
    options = ("--task", recipe.task, "--twin", recipe.reference_profile, "--episodes", str(recipe.harsh_episodes))
    arguments = ("evaluate", str(files.run(name)), *options, "--report", str(files.result(f"harsh-{name}")))
    title = f"Try {name} on the twin ({recipe.reference_profile}), to compare with the ranking"
    return Step(f"harsh-{name}", title, arguments, ("distill" if name == "student" else f"train-{name}",))


def _clip(name: str, title: str, files: Files, store: str, engine: str, after: str) -> Step:
    size = ("--width-px", "400", "--height-px", "300", "--pictures-hz", "8")
    arguments = ("replay", str(files.data(store)), "--engine", engine, *size, "--out", str(files.clip(name)))
    return Step(name, title, arguments, (after,))


def _export(files: Files) -> Step:
    arguments = ("export", str(files.run("student")), "--out", str(files.bundle))
    return Step("export", "Export the student as a bundle: ONNX, contract, limits, evidence", arguments, ("rank",))


def _deploy(recipe: Recipe, files: Files, profile: str) -> Step:
    options = ("--robot", f"twin/{recipe.robot}", "--profile", profile, "--episodes", str(recipe.twin_episodes))
    paths = ("--record", str(files.data(profile)), "--report", str(files.result(profile)))
    title = f"Deploy over ROS 2 to the twin ({profile}), {recipe.twin_episodes} episodes in real time"
    logs = ("--logs", str(files.out / "logs" / profile))
    return Step(profile, title, ("deploy", str(files.bundle), *options, *paths, *logs), ("export",), alone=True)
