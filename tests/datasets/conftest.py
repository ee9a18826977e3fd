"""Contracts and episodes for the tests of data, made by hypothesis and by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ashore.datasets.contract import Contract, Feature
from ashore.datasets.episode import Episode, EpisodeMeta

MakeEpisode = Callable[..., Episode]
settings.register_profile("data", deadline=None)
settings.load_profile("data")
CONTRACT = Contract(
    robot="test/arm",
    task="test/reach",
    observations=(
        Feature("joint_pos_rad", (3,), "rad", "joint", ("j1", "j2", "j3")),
        Feature("closed", (), "1", "none", dtype="bool"),
    ),
    actions=(Feature("tcp_target_base_m", (2,), "m", "base", ("x", "y")),),
    control_hz=20.0,
)


def draw_array(draw: st.DrawFn, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Draw an array of every kind of finite value, by seed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype in ("uint8", "int64"):
        return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    scale = np.float64(10.0) ** draw(st.integers(-30, 30))
    return (rng.normal(size=shape) * scale).astype(dtype)


@st.composite
def features(draw: st.DrawFn, name: str) -> Feature:
    """Draw a sound feature."""
    shape = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    size = int(np.prod(shape))
    bounded = draw(st.booleans())
    return Feature(
        name=name,
        shape=shape,
        unit=draw(st.sampled_from(["m", "rad", "1", "px"])),
        frame=draw(st.sampled_from(["world", "base", "none"])),
        components=tuple(f"c{i}" for i in range(size)) if draw(st.booleans()) else (),
        dtype=draw(st.sampled_from(["float32", "float64", "int64", "bool", "uint8"])),
        rate_hz=draw(st.none() | st.floats(1, 1000)),
        low=(-1.5,) * size if bounded else None,
        high=tuple(draw(st.floats(0, 1e6)) for _ in range(size)) if bounded else None,
    )


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """Draw a sound contract of up to four features a side, names from a small set, so that two often share some."""
    names = draw(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=8, unique=True))
    cut = draw(st.integers(1, len(names) - 1))
    return Contract(
        robot=draw(st.sampled_from(["arm", "vehicle"])),
        task=draw(st.sampled_from(["reach", "hover"])),
        observations=tuple(draw(features(name)) for name in names[:cut]),
        actions=tuple(draw(features(name)) for name in names[cut:]),
        control_hz=draw(st.sampled_from([10.0, 20.0, 50.0])),
    )


@st.composite
def metas(draw: st.DrawFn) -> EpisodeMeta:
    """Draw a description, with numbers that JSON has no word for."""
    values = st.floats(allow_nan=False) | st.lists(st.floats(allow_nan=False), max_size=3)
    return EpisodeMeta(
        source=draw(st.sampled_from(["simulation", "twin", "real", "human"])),
        operator=draw(st.text(max_size=8)),
        seed=draw(st.none() | st.integers(0, 2**63)),
        success=draw(st.none() | st.booleans()),
        reward=draw(st.none() | st.floats(allow_nan=False)),
        draw=draw(st.dictionaries(st.sampled_from(["mass_kg", "friction"]), values)),
        truncated=draw(st.booleans()),
        metrics=draw(st.dictionaries(st.sampled_from(["error_m", "time_s"]), st.floats(allow_nan=False))),
    )


@st.composite
def episodes(draw: st.DrawFn, contract: Contract) -> Episode:
    """Draw an episode of a contract."""
    n_steps = draw(st.integers(1, 12))
    return Episode(
        contract=contract,
        observations={f.name: draw_array(draw, f.dtype, (n_steps, *f.shape)) for f in contract.observations},
        actions={f.name: draw_array(draw, f.dtype, (n_steps, *f.shape)) for f in contract.actions},
        time_s=np.arange(n_steps) / contract.control_hz,
        meta=draw(metas()),
        commands=draw_array(draw, "float64", (n_steps, 7)) if draw(st.booleans()) else None,
    )


@pytest.fixture(scope="session")
def any_contract() -> st.SearchStrategy[Contract]:
    """All sound contracts."""
    return contracts()


@pytest.fixture(scope="session")
def any_episode() -> Callable[[Contract], st.SearchStrategy[Episode]]:
    """All episodes of a contract."""
    return episodes


@pytest.fixture(scope="session")
def contract() -> Contract:
    """A small contract of a made-up arm."""
    return CONTRACT


@pytest.fixture(scope="session")
def make_episode() -> MakeEpisode:
    """Make the episode of a seed: the same seed gives the same numbers."""

    def make(seed: int = 0, n_steps: int = 5, **meta: Any) -> Episode:
        rng = np.random.default_rng(seed)
        return Episode(
            contract=CONTRACT,
            observations={
                "joint_pos_rad": rng.normal(size=(n_steps, 3)).astype(np.float32),
                "closed": rng.random(n_steps) < 0.5,
            },
            actions={"tcp_target_base_m": rng.normal(size=(n_steps, 2)).astype(np.float32)},
            time_s=np.arange(n_steps) * CONTRACT.period_s,
            meta=EpisodeMeta(source="simulation", seed=seed, **meta),
            commands=rng.normal(size=(n_steps, 3)),
        )

    return make


@pytest.fixture(scope="session")
def require_equal() -> Callable[..., None]:
    """Compare two episodes bit for bit, or the first n_steps of the second."""

    def compare(read: Episode, written: Episode, n_steps: int | None = None) -> None:
        n_steps = len(written) if n_steps is None else n_steps
        assert len(read) == n_steps
        for group in ("observations", "actions"):
            assert getattr(read, group).keys() == getattr(written, group).keys()
            for name, value in getattr(read, group).items():
                assert value.dtype == getattr(written, group)[name].dtype
                assert value.tobytes() == getattr(written, group)[name][:n_steps].tobytes()
        assert read.time_s.tobytes() == written.time_s[:n_steps].tobytes()
        assert (read.commands is None) == (written.commands is None)
        if read.commands is not None and written.commands is not None:
            assert read.commands.tobytes() == written.commands[:n_steps].tobytes()

    return compare


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "store"
