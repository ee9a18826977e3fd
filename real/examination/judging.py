"""What is wrong with a topic that was listened to: its ends, rate, stamps, frame, names and numbers."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import closest, quoted
from ashore.real.errors import InvalidMessage
from ashore.real.examination.findings import Finding
from ashore.real.examination.listening import Endpoint, Heard, Sample
from ashore.real.mapping import Binding
from ashore.real.messages import UNSTAMPED

Array = NDArray[Any]
OUR_COMMANDER = "guard"
"""The one node of a deployment that may send commands."""
MIN_RATE_SHARE = 0.8
"""A topic slower than this share of what is expected of it is too slow."""
UNEVEN_PERIODS = 3.0
"""A longest gap of more than this many periods is worth a look."""
FUTURE_S = 0.05
"""Stamps further ahead of this host's clock than this are no measurement's."""
LATE_S = 0.2
"""Stamps further behind it are old data, or of another clock."""
LARGEST_JOINT_RAD = 2 * math.pi
LARGEST_LENGTH_M = 50.0
"""Positions beyond this look like millimetres."""
LARGEST_FINGER_M = 1.0
"""The same where the length is a joint's, as a gripper's finger."""


@dataclass(frozen=True)
class Expected:
    """What a bundle expects of the topics; nothing where none was given."""

    rate_hz: float | None = None
    """The card's command rate."""
    timeout_s: float | None = None
    """The card's: a longer gap stops the robot."""
    low: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Observations outside of these bounds stop the robot."""
    high: Mapping[str, Sequence[float]] = field(default_factory=dict)


def judge(heard: Heard, expected: Expected) -> Iterator[Finding]:
    """Judge one topic."""
    yield from _ends(heard)
    rules: list[Callable[[Heard, Expected], Iterator[Finding]]] = [_rate, _stamps, _frame, _names, _values]
    if heard.samples and not heard.is_command:
        for rule in rules:
            yield from rule(heard, expected)


def _ends(heard: Heard) -> Iterator[Finding]:
    """Judge who is at the topic's ends, with which type and quality."""
    topic = heard.name
    partners = heard.takers if heard.is_command else heard.senders
    if not partners:
        near = closest(topic, heard.alike)
        there = f" Topics of this type: {quoted(heard.alike)}.{near}" if heard.alike else " None has this type."
        detail = "nobody takes it" if heard.is_command else "nobody sends it"
        advice = "start the driver or its controller; else correct the topic's name, or --namespace." + there
        yield Finding(topic, "topic", "broken", detail, advice)
        return
    yield Finding(topic, "topic", "good", f"{'taken' if heard.is_command else 'sent'} by {_nodes(partners)}")
    for partner in (*heard.senders, *heard.takers) if heard.is_command else heard.senders:
        if partner.type != heard.channel.type:
            detail = f"{partner.node} has {partner.type}; the mapping says {heard.channel.type}"
            yield Finding(topic, "type", "broken", detail, "correct `type` in the mapping, or the topic")
        elif partner.problem:
            advice = "change the driver's quality of service: no message passes as it is"
            yield Finding(topic, "quality", "broken", f"{partner.node}: {partner.problem}", advice)
    yield from _commanders(heard) if heard.is_command else _sources(heard)


def _commanders(heard: Heard) -> Iterator[Finding]:
    if len(heard.senders) > 1:
        advice = "leave one: two commanders of one robot are a fault that nothing downstream can mend"
        yield Finding(heard.name, "senders", "broken", f"{len(heard.senders)}: {_nodes(heard.senders)}", advice)
    elif heard.senders and heard.senders[0].node.rpartition("/")[2] != OUR_COMMANDER:
        advice = "stop it before a deployment: the guard must be the only one"
        yield Finding(heard.name, "senders", "odd", f"{heard.senders[0].node} commands the robot already", advice)


def _sources(heard: Heard) -> Iterator[Finding]:
    if len(heard.senders) > 1:
        advice = "leave one, or merge them: what is read would alternate between them"
        yield Finding(heard.name, "senders", "odd", f"{len(heard.senders)}: {_nodes(heard.senders)}", advice)
    fits = [each for each in heard.senders if each.type == heard.channel.type and not each.problem]
    if fits and not heard.samples:
        advice = "see whether the driver is active, and whether both sides use the same transport and domain"
        yield Finding(heard.name, "messages", "broken", "none came", advice)


def _rate(heard: Heard, expected: Expected) -> Iterator[Finding]:
    """Judge how often it comes and how evenly, by receipt."""
    at_s = np.array([sample.at_s for sample in heard.samples])
    if len(at_s) < 2:
        yield Finding(heard.name, "rate", "odd", "one message came", "listen longer, or see why it is so rare")
        return
    periods_s = np.diff(at_s)
    rate_hz, typical_s = (len(at_s) - 1) / max(at_s[-1] - at_s[0], 1e-9), float(np.median(periods_s))
    jitter_ms = 1e3 * float(np.percentile(np.abs(periods_s - typical_s), 99))
    longest_s = float(periods_s.max())
    detail = f"{rate_hz:.1f} Hz, jitter p99 {jitter_ms:.1f} ms, longest gap {1e3 * longest_s:.0f} ms"
    wanted_hz = heard.channel.rate_hz if heard.channel.rate_hz is not None else expected.rate_hz
    if wanted_hz is not None and rate_hz < MIN_RATE_SHARE * wanted_hz:
        advice = f"raise it to {wanted_hz:g} Hz in the driver, or set `rate_hz` in the mapping to what is meant"
        yield Finding(heard.name, "rate", "broken", detail, advice)
    elif expected.timeout_s is not None and longest_s > expected.timeout_s:
        advice = f"find what delays it: beyond {1e3 * expected.timeout_s:.0f} ms the guard stops the robot"
        yield Finding(heard.name, "rate", "broken", detail, advice)
    elif longest_s > UNEVEN_PERIODS * max(typical_s, 1.0 / rate_hz) and longest_s > LATE_S:
        yield Finding(heard.name, "rate", "odd", detail, "find what delays it: the driver, the network or this machine")
    else:
        yield Finding(heard.name, "rate", "good", detail)


def _stamps(heard: Heard, expected: Expected) -> Iterator[Finding]:
    """Judge the headers' stamps against each other and against this host's clock."""
    if heard.channel.type in UNSTAMPED:
        return
    stamps_ns = [_stamp_ns(sample) for sample in heard.samples]
    if not any(stamps_ns):
        advice = "let the driver stamp them: late and repeated samples cannot be told apart"
        yield Finding(heard.name, "stamps", "odd", "all are zero", advice)
        return
    backwards = sum(after < before for before, after in pairwise(stamps_ns))
    if backwards:
        advice = "leave one source, and let its clock only run forwards; each such message is refused"
        yield Finding(heard.name, "stamps", "broken", f"{backwards} are older than the one before", advice)
    if len(stamps_ns) > 2 and len(set(stamps_ns)) == 1:
        yield Finding(heard.name, "stamps", "odd", "all are the same", "see whether the driver repeats one sample")
    ages_s = [1e-9 * (sample.wall_ns - stamp) for sample, stamp in zip(heard.samples, stamps_ns, strict=True)]
    typical_s = float(np.median(ages_s))
    detail = f"{_duration(abs(typical_s))} {'behind' if typical_s >= 0 else 'ahead of'} this host's clock"
    if typical_s < -FUTURE_S:
        advice = "synchronize the clocks (chrony): a sample from the future never grows old"
        yield Finding(heard.name, "clock", "broken", detail, advice)
    elif typical_s > LATE_S:
        advice = "synchronize the clocks (chrony), stamp with the host's time, or find the delay"
        yield Finding(heard.name, "clock", "odd", detail, advice)
    elif not backwards:
        yield Finding(heard.name, "clock", "good", detail)


def _frame(heard: Heard, expected: Expected) -> Iterator[Finding]:
    """Judge the headers' frames."""
    if heard.channel.type in UNSTAMPED:
        return
    frames = sorted({sample.message.header.frame_id for sample in heard.samples})
    wanted = heard.channel.frame_id
    if wanted and frames != [wanted]:
        advice = f"transform it into {wanted!r} before, or correct `frame_id`; another frame is refused"
        yield Finding(heard.name, "frame", "broken", f"{quoted(frames)}; the mapping says {wanted!r}", advice)
    elif any(word in frame.lower() for frame in frames for word in ("ned", "frd")):
        advice = "convert to ENU and FLU before: contracts are in those"
        yield Finding(heard.name, "frame", "odd", f"{quoted(frames)} reads like NED or FRD", advice)
    else:
        yield Finding(heard.name, "frame", "good", quoted(frames) if any(frames) else "none is named")


def _names(heard: Heard, expected: Expected) -> Iterator[Finding]:
    """Judge the names of joints against those of the mapping."""
    wanted = list(dict.fromkeys(name for binding in heard.channel.bindings for name in binding.names))
    if not wanted or not hasattr(heard.samples[0].message, "name"):
        return
    lists = Counter(tuple(sample.message.name) for sample in heard.samples)
    there = lists.most_common(1)[0][0]
    missing, extra = [n for n in wanted if n not in there], [n for n in there if n not in wanted]
    if missing:
        advice = f"name them as the driver does: {quoted(there)}.{closest(missing[0], there)}"
        yield Finding(heard.name, "joints", "broken", f"missing: {quoted(missing)}", advice)
    elif len(set(there)) != len(there):
        yield Finding(
            heard.name, "joints", "broken", f"a name twice in {quoted(there)}", "let the driver name each once"
        )
    elif len(lists) > 1:
        advice = "merge the sources: a message without all joints is refused"
        yield Finding(heard.name, "joints", "odd", f"{len(lists)} lists of names take turns", advice)
    else:
        order = [name for name in there if name in wanted]
        notes = ["in another order, matched by name"] if order != wanted else []
        notes += [f"beside them {quoted(extra)}"] if extra else []
        yield Finding(heard.name, "joints", "good", "; ".join(["all there", *notes]))


def _values(heard: Heard, expected: Expected) -> Iterator[Finding]:
    """Judge the numbers, read as the deployment would read them."""
    problems: Counter[str] = Counter()
    read: list[Mapping[str, Array]] = []
    for sample in heard.samples:
        try:
            read.append(heard.channel.read(sample.message))
        except InvalidMessage as error:
            problems[str(error)] += 1
    told = ("its frame is", "are missing", "is named twice")
    for text, count in problems.items():
        if not any(words in text for words in told):  # Frames and names have their own lines.
            yield Finding(
                heard.name, "messages", "broken", f"{count} refused: {text}", "correct the driver or the mapping"
            )
    for binding in heard.channel.bindings if read else ():
        values = np.stack([each[binding.feature] for each in read])
        yield _judged(heard, binding, values, expected)


def _judged(heard: Heard, binding: Binding, values: Array, expected: Expected) -> Finding:
    """Judge one feature's values (T, width)."""
    name, finite = binding.feature, np.isfinite(values)
    if not finite.all():
        element = int(np.argmin(finite.all(axis=0)))
        advice = "see why the driver sends it; the guard stops the robot on it"
        return Finding(heard.name, name, "broken", f"NaN or infinite in element {element}", advice)
    low, high = values.min(axis=0), values.max(axis=0)
    detail = f"{_figures(low)} to {_figures(high)}"
    largest = float(np.abs(values).max())
    is_joint = bool(binding.names)
    if is_joint and name.endswith("_rad") and largest > LARGEST_JOINT_RAD:
        advice = "if these are degrees, set `scale: 0.017453292519943295`; else it is a joint that turns more than once"
        return Finding(heard.name, name, "odd", f"{detail}: beyond one turn", advice)
    if name.endswith("_m") and largest > (LARGEST_FINGER_M if is_joint else LARGEST_LENGTH_M):
        advice = "if these are millimetres, set `scale: 0.001`; else see where the origin lies"
        return Finding(heard.name, name, "odd", f"{detail}: far for metres", advice)
    if np.any(low < np.asarray(expected.low.get(name, -np.inf))) or np.any(
        high > np.asarray(expected.high.get(name, np.inf))
    ):
        advice = "see unit, sign and frame, or move the robot: out of the card's bounds the guard stops it"
        return Finding(heard.name, name, "broken", f"{detail}: outside of the card's bounds", advice)
    return Finding(heard.name, name, "good", detail)


def _stamp_ns(sample: Sample) -> int:
    stamp = sample.message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def _nodes(ends: Sequence[Endpoint]) -> str:
    return ", ".join(end.node for end in ends)


def _duration(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms" if seconds < 1.0 else f"{seconds:.1f} s"


def _figures(values: Array) -> str:
    return "[" + " ".join(f"{value:.3g}" for value in np.ravel(values)) + "]"
