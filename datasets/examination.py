"""What is suspicious in a store's data: whole and readable, yet doubled, frozen, late, saturated, idle, out of limits.

One episode is in memory at a time; of each, only a few numbers a feature are kept to compare it with the others.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.archive import arrays_of
from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode
from ashore.datasets.features import Feature
from ashore.datasets.images import Frames
from ashore.datasets.progress import Progress, silent
from ashore.datasets.stillness import still_steps, stretches
from ashore.datasets.store import EpisodeStore

Array = NDArray[Any]
Kind = Literal["duplicate", "frozen", "time", "stale", "saturated", "idle", "short", "limits", "frames"]
KINDS: dict[Kind, str] = {
    "duplicate": "delete one of them, or it counts twice in training",
    "frozen": "check the sensor or its cable, and delete the episode",
    "time": "check the recorder's load; trim the episode, or delete it",
    "stale": "check the source's rate and transport; trim the episode, or align by 'drop'",
    "saturated": "check scale and limits of the action, or whether the operator pushed against a stop",
    "idle": "trim it, or the policy learns to wait",
    "short": "see whether it was broken off, and delete it",
    "limits": "check unit and scale, or correct the contract's limits",
    "frames": "check the camera's rate and its driver; give it a stream of its own rate",
}
"""{kind of finding: what to do about it}."""
IDLE_S = 1.0
STILL_SHARE = 0.02
"""Of an element's range in the episode; what moves less than this within IDLE_S stands still."""
GAP = 1.5
"""Control periods between two steps above which there is a gap; below 1 / GAP they are too close."""
SATURATED_SHARE = 0.2
SWITCH_SHARE = 0.9
"""Share of all steps at a limit above which an element is a switch rather than saturated."""
SHORT_SHARE = 1 / 3
"""Of the median length."""
MIN_COMPARED = 5
"""Episodes needed to say what is usual."""
MIN_REPEATS = 3
"""Equal frames in a row, while something moves, that are worth a finding."""


@dataclass(frozen=True)
class Finding:
    """One suspicious thing in one episode."""

    kind: Kind
    episode: int
    feature: str
    """Empty where it is about the episode as a whole."""
    first_step: int
    last_step: int
    text: str

    @property
    def advice(self) -> str:
        """What to do about it."""
        return KINDS[self.kind]

    @property
    def place(self) -> str:
        """Where it is."""
        return f"episode {self.episode}, steps {self.first_step} to {self.last_step}"

    @property
    def subject(self) -> str:
        """What it is about, and what is wrong with it."""
        return f"{self.feature} {self.text}".strip()

    def __str__(self) -> str:
        return f"{self.place}: {self.subject} -> {self.advice}"


@dataclass(frozen=True)
class Examination:
    """What was found, and how long each episode is."""

    findings: tuple[Finding, ...]
    """By episode."""
    lengths: Mapping[int, int]
    """{episode: steps}."""

    def counts(self) -> dict[Kind, int]:
        """Number of findings of each kind that occurs."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}


@dataclass(frozen=True)
class _Facts:
    """What is kept of one episode to compare it with others."""

    n_steps: int
    digest: bytes
    moves: Mapping[str, NDArray[np.bool_]]
    """{observation: (size,) whether the element changes}."""
    at_limit: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]
    """{action: steps at the low and at the high limit, (size,) each}."""


def examine(store: EpisodeStore, progress: Progress = silent) -> Examination:
    """Read a store once and list what is suspicious in its data; damage of its files is found by verify."""
    facts: dict[int, _Facts] = {}
    findings: list[Finding] = []
    for done, index in enumerate(store.indices):
        episode = store.read(index)
        facts[index] = _facts(episode)
        findings += _alone(index, episode)
        progress(done + 1, len(store), f"{len(findings)} finding(s)")
    findings += [*_duplicates(facts), *_frozen(facts), *_saturated(store.contract, facts), *_short(facts)]
    order = {kind: number for number, kind in enumerate(KINDS)}
    findings.sort(key=lambda finding: (finding.episode, order[finding.kind], finding.first_step))
    return Examination(tuple(findings), {index: fact.n_steps for index, fact in facts.items()})


def _facts(episode: Episode) -> _Facts:
    hasher = hashlib.sha256()
    for name, value in arrays_of(episode).items():
        hasher.update(f"{name}\0{value.dtype.str}\0{value.shape}\0".encode())
        hasher.update(np.ascontiguousarray(value).data)
    moves = {name: np.any(_flat(value) != _flat(value)[0], axis=0) for name, value in episode.observations.items()}
    at_limit = {
        feature.name: _at_limits(feature, _flat(episode.actions[feature.name]))
        for feature in episode.contract.actions
        if feature.name in episode.actions and feature.low is not None and feature.high is not None
    }
    return _Facts(len(episode), hasher.digest(), moves, at_limit)


def _at_limits(feature: Feature, values: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    low, high = np.asarray(feature.low, np.float64), np.asarray(feature.high, np.float64)
    slack = 1e-6 * np.maximum(high - low, np.finfo(np.float64).tiny) + 1e-6 * np.maximum(np.abs(low), np.abs(high))
    return np.sum(values <= low + slack, axis=0), np.sum(values >= high - slack, axis=0)


def _alone(index: int, episode: Episode) -> Iterator[Finding]:
    """Find what an episode shows by itself."""
    moving = np.concatenate([_flat(v) for v in (*episode.observations.values(), *episode.actions.values())], axis=1)
    n_window = max(2, round(IDLE_S * episode.contract.control_hz) + 1)
    # Where nothing moves at all, the camera may repeat itself, and all is said by "frozen" or "idle".
    still = (
        still_steps(moving.astype(np.float64), n_window, STILL_SHARE) if moving.size else np.zeros(len(episode), bool)
    )
    yield from _time_findings(index, episode)
    yield from _stale_findings(index, episode)
    for first, last in stretches(still):
        seconds = float(episode.time_s[last] - episode.time_s[first])
        yield Finding("idle", index, "", first, last, f"nothing moves for {seconds:.1f} s")
    for feature in (*episode.contract.observations, *episode.contract.actions):
        values = episode.observations.get(feature.name, episode.actions.get(feature.name))
        if values is not None:
            yield from _limit_findings(index, feature, _flat(values))
    for name, frames in episode.images.items():
        yield from _frame_findings(index, episode, name, frames, still)


def _time_findings(index: int, episode: Episode) -> Iterator[Finding]:
    periods = np.diff(episode.time_s) * episode.contract.control_hz
    for problem, wrong in (("missing", periods > GAP), ("too close", periods < 1 / GAP)):
        steps = np.flatnonzero(wrong)
        if len(steps):
            worst = periods[steps].max() if problem == "missing" else periods[steps].min()
            text = f"{len(steps)} time(s) {'a gap' if problem == 'missing' else 'steps too close'} between steps"
            text += (
                f", at worst {worst / episode.contract.control_hz:.3g} s; expected {episode.contract.period_s:.3g} s"
            )
            yield Finding("time", index, "", int(steps[0]), int(steps[-1]) + 1, text)


def _stale_findings(index: int, episode: Episode) -> Iterator[Finding]:
    for feature in episode.contract.features:
        limit_s = None if feature.align is None else feature.align.max_age_s
        if limit_s is None or feature.name not in episode.streams:
            continue
        age_s = episode.alignment(feature.name).age_s
        steps = np.flatnonzero(age_s > limit_s)
        if len(steps):
            text = f"is older than {limit_s:g} s in {len(steps)} step(s), at worst {age_s.max():.3g} s"
            yield Finding("stale", index, feature.name, int(steps[0]), int(steps[-1]), text)


def _limit_findings(index: int, feature: Feature, values: Array) -> Iterator[Finding]:
    for side, limit in (("below", feature.low), ("above", feature.high)):
        if limit is None:
            continue
        # Limits are decimal numbers; a float32 next to one is no fault.
        slack = 1e-6 * np.maximum(1.0, np.abs(limit))
        beyond: Array = (np.asarray(limit) - values if side == "below" else values - np.asarray(limit)) > slack
        steps = np.flatnonzero(beyond.any(axis=1))
        if len(steps):
            elements = _elements(feature, np.any(beyond, axis=0))
            worst = values[beyond].min() if side == "below" else values[beyond].max()
            text = f"{elements}lies {side} its limit in {len(steps)} step(s), as far as {worst:.4g} {feature.unit}"
            yield Finding("limits", index, feature.name, int(steps[0]), int(steps[-1]), text)


def _frame_findings(index: int, episode: Episode, name: str, frames: Frames, still: Array) -> Iterator[Finding]:
    stream = episode.streams.get(name)
    shown, is_stream = (stream.values, True) if stream is not None else (frames, False)
    if not isinstance(shown, Frames) or len(shown) < MIN_REPEATS:
        return
    digests = [hashlib.blake2b(shown.encoded(entry), digest_size=16).digest() for entry in range(len(shown))]
    same = np.array([False] + [a == b for a, b in pairwise(digests)])
    steps = np.searchsorted(episode.time_s, stream.capture_s).clip(0, len(episode) - 1) if stream is not None else None
    same &= ~(still if steps is None else still[steps])
    runs = [(first - 1, last) for first, last in stretches(same) if last - first + 2 >= MIN_REPEATS]
    if runs:
        longest = max(last - first + 1 for first, last in runs)
        text = f"repeats {'a sample' if is_stream else 'a frame'} while something moves, {len(runs)} time(s), "
        text += f"up to {longest} in a row"
        first, last = runs[0][0], runs[-1][1]
        first, last = (first, last) if steps is None else (int(steps[first]), int(steps[last]))
        yield Finding("frames", index, name, first, last, text)


def _duplicates(facts: Mapping[int, _Facts]) -> Iterator[Finding]:
    first: dict[bytes, int] = {}
    for index, fact in facts.items():
        earlier = first.setdefault(fact.digest, index)
        if earlier != index:
            yield Finding("duplicate", index, "", 0, fact.n_steps - 1, f"holds the same data as episode {earlier}")


def _frozen(facts: Mapping[int, _Facts]) -> Iterator[Finding]:
    """Find elements that never change in an episode, where they do in more than half of the others."""
    n_with: Counter[str] = Counter()
    n_moving: dict[str, Array] = {}
    for fact in facts.values():
        for name, moves in fact.moves.items():
            n_with[name] += 1
            n_moving[name] = n_moving.get(name, 0) + moves.astype(np.int64)
    for index, fact in facts.items():
        if fact.n_steps < 2:
            continue
        last = fact.n_steps - 1
        if (
            fact.moves
            and not any(moves.any() for moves in fact.moves.values())
            and any(m.any() for m in n_moving.values())
        ):
            yield Finding("frozen", index, "", 0, last, "no observation ever changes")
            continue
        for name, moves in fact.moves.items():
            frozen = ~moves & (2 * n_moving[name] > n_with[name] - 1) & (n_with[name] > 1)
            if frozen.any():
                which = "" if frozen.all() else f"elements {', '.join(map(str, np.flatnonzero(frozen)))} "
                yield Finding(
                    "frozen", index, name, 0, last, f"{which}never changes, as it does in most other episodes"
                )


def _saturated(contract: Contract, facts: Mapping[int, _Facts]) -> Iterator[Finding]:
    """Find actions that lie at a limit for long; what does so nearly always in the store is a switch."""
    total = sum(fact.n_steps for fact in facts.values())
    for feature in contract.actions:
        told = [fact.at_limit[feature.name] for fact in facts.values() if feature.name in fact.at_limit]
        if not told:
            continue
        is_switch = sum(low + high for low, high in told) > SWITCH_SHARE * total
        for index, fact in facts.items():
            if feature.name not in fact.at_limit:
                continue
            for side, count in zip(("low", "high"), fact.at_limit[feature.name], strict=True):
                found = (count > SATURATED_SHARE * fact.n_steps) & ~is_switch
                if found.any():
                    share = count[found].max() / fact.n_steps
                    text = f"{_elements(feature, found)}lies at its {side} limit in {share:.0%} of the steps"
                    yield Finding("saturated", index, feature.name, 0, fact.n_steps - 1, text)


def _short(facts: Mapping[int, _Facts]) -> Iterator[Finding]:
    if len(facts) < MIN_COMPARED:
        return
    median = float(np.median([fact.n_steps for fact in facts.values()]))
    for index, fact in facts.items():
        if fact.n_steps < SHORT_SHARE * median:
            text = f"has {fact.n_steps} step(s), the median is {median:g}"
            yield Finding("short", index, "", 0, fact.n_steps - 1, text)


def _elements(feature: Feature, which: Array) -> str:
    """Name some elements, or nothing where there is one alone."""
    if feature.size == 1:
        return ""
    names = feature.components or tuple(str(number) for number in range(feature.size))
    return f"({', '.join(names[i] for i in np.flatnonzero(which))}) "


def _flat(values: Array) -> Array:
    return values.reshape(len(values), -1)
