"""Tells the demo's results as a page: what happened, how well, how it is known, and what it does not show."""

from collections.abc import Mapping, Sequence
from typing import Any

from ashore.cli.demo.charts import histogram, jitter, learning_curves, ranking_scatter, success_bars
from ashore.cli.demo.page import Grid, Page, Picture, Section, Tile
from ashore.cli.demo.results import Results
from ashore.cli.demo.runner import Step

TITLES = {"panda": "An arm places a cube", "crazyflie": "A quadrotor recovers and holds its place"}
METRIC_UNITS = {"_m": (1000.0, "mm"), "_s": (1.0, "s")}


def tell(results: Results, summary: Mapping[str, Any], steps: Sequence[Step]) -> Page:
    """Compose the report."""
    recipe = results.recipe
    lead = (
        f"A policy was collected, trained, distilled, ranked, exported and deployed over ROS 2 in "
        f"{results.wall_s / 60:.1f} minutes on this machine. It drove the {recipe.robot} on a PyBullet twin, an engine "
        f"that it had never seen, and "
        f"succeeded in {_share(summary['twin_success'])} of the episodes there."
    )
    sections = [_clips(results), _success(results), _learning(results), _timing(results, summary)]
    if recipe.contender_episodes:
        sections.insert(2, _ranking(results))
    title = f"{TITLES[recipe.robot]}: from demonstrations to a robot"
    return Page(title, lead, _tiles(results, summary), [*sections, _steps(results, steps), _limits(results)])


def _tiles(results: Results, summary: Mapping[str, Any]) -> list[Tile]:
    tiles = [
        Tile(_share(summary["consistency_success"]), "success in simulation, one-step policy, wide draws"),
        Tile(_share(summary["twin_success"]), "success on the twin over ROS 2"),
    ]
    headline = results.recipe.headline
    return [
        *tiles,
        Tile(*_metric(headline, summary["sim_metrics_median"][headline])),
        Tile(f"{summary['inference_ms_p99']:.2f} ms", "inference on the twin, p99, one thread"),
        Tile(f"{summary['command_period_error_ms_p99']:.2f} ms", "error of the command period, p99"),
        Tile(f"{results.wall_s / 60:.1f} min", "from nothing to this page"),
    ]


def _clips(results: Results) -> Section:
    pictures = (
        Picture(
            results.clips["clip-simulation"],
            "A demonstration in MuJoCo: the scripted expert, pushed off its way now and then.",
        ),
        Picture(results.clips["clip-twin"], "What the twin saw in PyBullet: the deployed policy, driving over ROS 2."),
    )
    return Section("What it looks like", "The policy learnt from the left and was deployed on the right.", pictures)


def _success(results: Results) -> Section:
    evaluations = results.evaluations
    rates = [
        results.rate(evaluations["teacher"], "teacher, diffusion (simulation)"),
        results.rate(evaluations["student"], "student, 1 step (simulation)"),
        *(results.deployed_rate(profile) for profile in results.recipe.twin_profiles),
    ]
    text = (
        "Each bar is a success rate, each whisker its 95 % Wilson interval. The twin's realities differ "
        "from training in "
        "masses, friction, gains, delays, noise and lost commands; no training code reads them."
    )
    chart = Picture(success_bars(rates), "Success by policy and engine, with the number of episodes.")
    names = sorted(evaluations["student"]["metrics"])
    rows = [_metric_row(name, evaluations[name]["metrics"], names) for name in ("teacher", "student")]
    columns = ("simulation, median", *(_metric(name, 0.0)[1] for name in names))
    return Section("Success", text, [chart], Grid(columns, rows, frozenset(range(1, len(columns)))))


def _ranking(results: Results) -> Section:
    rows = results.ranking["policies"]
    harsh = {name: results.rate(evaluation, name) for name, evaluation in results.harsh.items()}
    scores = {row["policy"]: row["score"] for row in rows}
    ordered = sorted(scores, key=lambda name: -scores[name])
    text = (
        "The score joins success over paired draws in simulation with how strange the reference recordings look to "
        "each policy. It knows nothing of how they do on the harsh twin; the chart sets the two side by side. The "
        "three quick policies learnt from clean demonstrations with no, narrow and wide randomization."
    )
    columns = (
        "policy",
        "score",
        "simulated success",
        "strangeness of the recordings",
        f"{results.recipe.reference_profile}",
        "vetoes",
    )
    cells = [
        (
            row["policy"],
            f"{row['score']:+.2f}",
            f"{row['success']:.0%} ({row['success_low']:.0%} to {row['success_high']:.0%})",
            f"{row['strangeness']:.2f}",
            f"{harsh[row['policy']].successes}/{harsh[row['policy']].n}",
            "; ".join(row["vetoes"]) or "none",
        )
        for row in sorted(rows, key=lambda row: -row["score"])
    ]
    note = (
        f"{_agreement(ordered, {name: rate.value for name, rate in harsh.items()})} Few policies and "
        "few episodes: an indication, no proof."
    )
    chart = Picture(
        ranking_scatter(scores, harsh), "Ranking score against success on the harsh twin, with 95 % intervals."
    )
    return Section("The ranking", text, [chart], Grid(columns, cells, frozenset({1, 4})), note)


def _learning(results: Results) -> Section:
    text = (
        "Training losses, averaged over 50 updates. Teacher and student minimise different losses: "
        "compare shapes, not heights."
    )
    return Section("Learning", text, [Picture(learning_curves(results.curves), "Loss over updates.")])


def _timing(results: Results, summary: Mapping[str, Any]) -> Section:
    marks = {"p50": summary["inference_ms_p50"], "p99": summary["inference_ms_p99"]}
    hz = next(iter(results.deployments.values()))["command_hz"]
    nominal_ms = 1000.0 / hz
    errors = {
        "commands as the guard sent them": [ms - nominal_ms for ms in results.samples("command_period_ms")],
        "a bare loop beside it": [ms - nominal_ms for ms in results.samples("bare_period_ms")],
    }
    pictures = (
        Picture(
            histogram(results.samples("inference_ms"), "ms for one chunk", marks),
            "Inference of the bundle while deployed, one thread.",
        ),
        Picture(
            jitter(errors, "error of the command period, ms"),
            f"Command period at {hz:g} Hz against a loop that does nothing else.",
        ),
    )
    ratios = ", ".join(f"{p}: {r:.2f}" for p, r in summary["command_period_error_over_bare_loop"].items())
    note = (
        f"Error of the command period over that of the bare loop, p99: {ratios}. "
        f"The guard changed {summary['guard_interventions']} commands and stopped in {summary['guard_stops']} command "
        "periods; reasons are in the deployments' JSON files."
    )
    text = (
        "Policy, guard and twin are three processes that meet over DDS on the loopback; inference has "
        "a thread of its own."
    )
    return Section("Time", text, pictures, note=note)


def _steps(results: Results, steps: Sequence[Step]) -> Section:
    rows = [(step.title, step.command, f"{results.seconds[step.name]:.0f}") for step in steps]
    text = (
        "Every step is a command that can be run by hand. Up to two run at a time, so the times add up "
        "to more than the whole."
    )
    return Section("How it was made", text, grid=Grid(("step", "command", "s"), rows, frozenset({2})))


def _limits(results: Results) -> Section:
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    text = (
        "The twin is another engine, not reality: contacts, motors and sensors are models there too. The "
        "guard is a software "
        "guard, defence in depth, and no certified safety function. One training seed was run; another "
        "gives other figures."
    )
    return Section("What this does not show", text, note=f"Versions: {versions}.")


def _agreement(ordered: Sequence[str], harsh: Mapping[str, float]) -> str:
    pairs = [(a, b) for i, a in enumerate(ordered) for b in ordered[i + 1 :] if harsh[a] != harsh[b]]
    agreeing = sum(harsh[a] > harsh[b] for a, b in pairs)
    return f"Score and harsh twin agree on {agreeing} of {len(pairs)} pairs that differ on the twin."


def _metric_row(name: str, metrics: Mapping[str, Sequence[float | None]], names: Sequence[str]) -> tuple[str, ...]:
    return (name, *(_metric(metric, _middle(metrics[metric]))[0] for metric in names))


def _middle(values: Sequence[float | None]) -> float | None:
    finite = sorted(value for value in values if value is not None)
    return finite[len(finite) // 2] if finite else None


def _metric(name: str, value: float | None) -> tuple[str, str]:
    """Give a metric's value and label for people: metres become millimetres."""
    for suffix, (factor, unit) in METRIC_UNITS.items():
        if name.endswith(suffix):
            label = name.removesuffix(suffix).replace("_", " ")
            return ("-" if value is None else f"{factor * value:.1f} {unit}"), f"{label}, median"
    return ("-" if value is None else f"{value:.2f}"), name.replace("_", " ")


def _share(rate: float) -> str:
    return f"{rate:.1%}" if round(rate * 100) != rate * 100 else f"{rate:.0%}"
