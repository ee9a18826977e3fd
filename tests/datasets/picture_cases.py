"""A contract with cameras, depth, a fast sensor and an optional feature, and its episodes, for the tests of data."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Align, Contract, Feature, ImageFeature
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.images import Frames
from ashore.datasets.streams import Stream

RGB = ImageFeature("wrist_camera", (12, 16, 3), "wrist_camera", align=Align("hold", 0.1), rate_hz=30.0)
GRAY = ImageFeature("side_camera", (8, 10), "side_camera", colour="gray")
DEPTH = ImageFeature(
    "depth_camera", (6, 7), "side_camera", "depth", dtype="uint16", unit="mm", invalid=0, optional=True
)
IMU = Feature("acc_body_m_s2", (3,), "m/s^2", "body", ("x", "y", "z"), rate_hz=100.0, align=Align("nearest"))
CONTRACT = Contract(
    robot="test/arm",
    task="test/see",
    observations=(Feature("joint_pos_rad", (2,), "rad", "joint", ("j1", "j2")), IMU),
    actions=(Feature("joint_target_rad", (2,), "rad", "joint", ("j1", "j2")),),
    control_hz=20.0,
    images=(RGB, GRAY, DEPTH),
)
META = EpisodeMeta("real", "tester", created="2026-01-01T00:00:00.000+00:00", instruction="look around")


def pictures(rng: np.random.Generator, feature: ImageFeature, n: int) -> NDArray[Any]:
    high = 4000 if feature.dtype == "uint16" else 256
    return rng.integers(0, high, (n, *feature.shape)).astype(feature.dtype)


def make_episode(seed: int = 0, n_steps: int = 8, *, depth: bool = True) -> Episode:
    """Make the episode of a seed: the same seed gives the same numbers."""
    rng = np.random.default_rng(seed)
    time_s = 0.1 + np.arange(n_steps) / 20.0
    n_frames, n_samples = 3 + n_steps, 12 + 5 * n_steps
    frame_s = np.arange(n_frames) / 30.0
    sample_s = np.arange(n_samples) / 100.0
    images = {"side_camera": Frames.of(GRAY, pictures(rng, GRAY, n_steps))}
    if depth:
        images["depth_camera"] = Frames.of(DEPTH, pictures(rng, DEPTH, n_steps))
    return Episode(
        contract=CONTRACT,
        observations={"joint_pos_rad": rng.normal(size=(n_steps, 2)).astype(np.float32)},
        actions={"joint_target_rad": rng.normal(size=(n_steps, 2)).astype(np.float32)},
        time_s=time_s,
        meta=META,
        commands=rng.normal(size=(n_steps, 2)),
        images=images,
        streams={
            "wrist_camera": Stream(Frames.of(RGB, pictures(rng, RGB, n_frames)), frame_s, frame_s + 0.01),
            "acc_body_m_s2": Stream(rng.normal(size=(n_samples, 3)).astype(np.float32), sample_s, sample_s + 0.002),
        },
    )


def require_equal(read: Episode, written: Episode, n_steps: int | None = None) -> None:
    """Compare two episodes bit for bit, pictures and streams included, or the first n_steps of the second."""
    n_steps = len(written) if n_steps is None else n_steps
    assert len(read) == n_steps
    for group in ("observations", "actions"):
        ours, theirs = getattr(read, group), getattr(written, group)
        assert ours.keys() == theirs.keys()
        assert all(ours[name].tobytes() == theirs[name][:n_steps].tobytes() for name in ours)
    assert read.images.keys() == written.images.keys()
    for name, frames in read.images.items():
        assert frames.stack().tobytes() == written.images[name].stack()[:n_steps].tobytes()
    for name, stream in read.streams.items():
        n_samples = len(stream)
        assert n_steps < len(written) or n_samples == len(written.streams[name])
        assert stream.capture_s.tobytes() == written.streams[name].capture_s[:n_samples].tobytes()
        assert stream.receive_s.tobytes() == written.streams[name].receive_s[:n_samples].tobytes()


def record(store: Any, episode: Episode, tell: Any = lambda word: None) -> Any:
    """Record an episode as a robot would: samples as they are received, steps in between; leave it open."""
    writer = store.begin(episode.meta)
    samples = [
        (float(stream.receive_s[i]), name, stream.values[i], float(stream.capture_s[i]))
        for name, stream in episode.streams.items()
        for i in range(len(stream))
    ]
    samples.sort(key=lambda sample: sample[0])
    for i, time_s in enumerate(episode.time_s.tolist()):
        while samples and samples[0][0] <= time_s:
            receive_s, name, value, capture_s = samples.pop(0)
            writer.add_sample(name, value, capture_s, receive_s)
        observation: dict[str, Any] = {"joint_pos_rad": episode.observations["joint_pos_rad"][i]}
        observation |= {name: frames[i] for name, frames in episode.images.items() if name not in episode.streams}
        action = {name: value[i] for name, value in episode.actions.items()}
        assert writer.add(observation, action, time_s, None if episode.commands is None else episode.commands[i])
        tell(b"s")
    return writer
