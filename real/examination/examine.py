"""Examining a mapping: against a bundle's contract and card, and against the graph that is there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ashore.datasets.errors import UnreadableFile
from ashore.datasets.progress import Progress, silent
from ashore.policies.bundle import Bundle, read_bundle
from ashore.real.errors import InvalidNamespace
from ashore.real.examination.findings import Finding
from ashore.real.examination.judging import Expected, judge
from ashore.real.examination.listening import listen
from ashore.real.mapping import TOPIC, RobotMapping, is_mapping_path
from ashore.sim.interfaces import make_interface


@dataclass(frozen=True)
class ExaminationConfig:
    """What is looked at."""

    mapping: str
    """A mapping's file, or the name of one that ships."""
    bundle: Path | None = None
    """A bundle that it is to meet."""
    namespace: str | None = None
    """Where the topics lie; the robot's name where None, as in a deployment."""
    seconds: float = 5.0
    """How long to listen; 0 for the file and the bundle alone."""


def examine_mapping(config: ExaminationConfig, progress: Progress = silent) -> list[Finding]:
    """Examine a mapping, and list all that was found.

    Raises:
        UnknownName, UnreadableFile, InvalidMapping: there is no such mapping, or its file has faults.
        UnreadableFile: the bundle is damaged.
        InvalidNamespace: the namespace cannot be one.
        MissingRos: topics are to be looked at and ROS 2 is not installed.
    """
    mapping = _load(config.mapping)
    namespace = mapping.robot if config.namespace is None else config.namespace
    if namespace not in ("", "/") and not TOPIC.fullmatch(namespace):
        raise InvalidNamespace(namespace)
    n_topics = len(mapping.observations) + len(mapping.commands)
    findings = [Finding("file", "mapping", "good", f"robot {mapping.robot!r}, {n_topics} topics")]
    expected = Expected()
    if config.bundle is not None:
        bundle = read_bundle(config.bundle)
        findings += _against_bundle(mapping, bundle)
        limits = bundle.card
        expected = Expected(
            limits.command_hz, limits.limits.timeout_s, limits.limits.observed_low, limits.limits.observed_high
        )
    if config.seconds > 0:
        for heard in listen(mapping, namespace, config.seconds, progress):
            findings += judge(heard, expected)
    return findings


def _load(mapping: str) -> RobotMapping:
    if not is_mapping_path(mapping) and Path(mapping).exists():
        raise UnreadableFile(mapping, "a robot's mapping in YAML", "its name does not end in .yaml", "Rename it.")
    return RobotMapping.named(mapping)


def _against_bundle(mapping: RobotMapping, bundle: Bundle) -> Iterator[Finding]:
    contract, card = bundle.contract, bundle.card
    if card.name != mapping.robot:
        advice = "deploy it on its own robot, or set `robot` if this is that very robot"
        yield Finding(
            "bundle", "robot", "broken", f"made for {card.name!r}; the mapping is of {mapping.robot!r}", advice
        )
    for channel in mapping.observations:
        if channel.rate_hz is not None and 1.0 / channel.rate_hz > card.limits.timeout_s:
            detail = f"{channel.rate_hz:g} Hz, while the card's timeout is {1e3 * card.limits.timeout_s:.0f} ms"
            advice = "have it sent more often: between two samples the guard would stop the robot"
            yield Finding(channel.topic, "rate", "broken", detail, advice)
    gaps = mapping.gaps(contract, card, make_interface(card.interface).derived)
    for gap in gaps:
        yield Finding("bundle", gap.field, "broken", f"{gap.left} against {gap.right}", gap.advice)
    if not gaps:
        yield Finding("bundle", "features", "good", f"each has its place; commands at {card.command_hz:g} Hz")
