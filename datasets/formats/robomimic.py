"""robomimic's and robosuite's demonstrations (HDF5): read one demonstration at a time, and written.

Format: data/demo_N/{obs/KEY (T, ...), actions (T, Da), rewards (T,), dones (T,)} with attribute num_samples, and on
data the attributes total and env_args, the environment in JSON. What Ashore adds on writing, robomimic does not look
at: the contract, each demonstration's description, time_s and commands.
Source: Mandlekar et al., What Matters in Learning from Offline Human Demonstrations, CoRL 2021, `SequenceDataset`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.features import Feature, ImageFeature
from ashore.datasets.formats import UNKNOWN, Foreign
from ashore.datasets.formats.hdf5 import Hdf5Reader, numbered
from ashore.datasets.formats.mapping import Mapping, load_mapping
from ashore.datasets.formats.robomimic_writer import CONTRACT, DESCRIPTION, write
from ashore.datasets.formats.side_by_side import action_array, split_actions
from ashore.datasets.images import Frames, encode

__all__ = ["read", "write"]

Array = NDArray[Any]
_EXPECTED = "a robomimic file with data/demo_N/obs/* and data/demo_N/actions of as many rows each"
_WAY_OUT = "Copy or download the file again, or name another format."
_DECODED_AT_ONCE = 64


def read(source: Path, mapping: Path | None = None) -> Foreign:
    """Open demonstrations.

    `success` follows from sparse rewards: whether one is above 0. Where the environment shapes its reward, or none is
    stored, a `done` before the last step says success (robomimic's done_mode 0 and 2); else it is unknown.

    Args:
        source: the .hdf5 file.
        mapping: a YAML file; its features are the keys of obs, and `actions`.

    Raises:
        UnreadableFile: not such a file; names file, key and row.
    """
    file = Hdf5Reader(source, _EXPECTED, _WAY_OUT)
    try:
        demos = _demos(file)
        plan = _plan(file, demos[0], load_mapping(mapping), mapping is not None)
    finally:
        file.close()
    return Foreign(plan.contract, len(demos), _episodes(source, demos, plan))


@dataclass(frozen=True)
class _Plan:
    """Where the features of a contract lie below a demonstration."""

    contract: Contract
    keys: dict[str, str]
    """{feature: key below the demonstration}; all actions lie in one array where Ashore wrote the file."""
    is_ours: bool
    meta: EpisodeMeta
    """What all demonstrations share."""
    is_shaped: bool
    """Whether rewards are given on the way to success too."""


def _demos(file: Hdf5Reader) -> list[str]:
    names = numbered(file.names("data"), r"demo_(\d+)")
    if not names:
        raise file.unreadable("data", "it holds no demonstration")
    if not re.fullmatch(r"demo_\d+", names[0]):
        raise file.unreadable(f"data/{names[0]}", "its name is not demo_ and a number")
    return names


def _plan(file: Hdf5Reader, demo: str, words: Mapping, has_mapping: bool) -> _Plan:
    environment = _environment(file)
    settings = environment.get("env_kwargs")
    settings = settings if isinstance(settings, dict) else {}
    meta = EpisodeMeta(source=words.source or "human", operator=words.operator, created=_created(file))
    is_shaped = bool(settings.get("reward_shaping"))
    held = file.attribute("data", CONTRACT)
    if isinstance(held, str) and not has_mapping:
        contract = Contract.from_json(held, f"{file.path}: data, attribute {CONTRACT}")
        keys = {feature.name: f"obs/{feature.name}" for feature in contract.observations}
        keys |= {image.name: f"obs/{image.name}" for image in contract.images}
        return _Plan(contract, keys, True, meta, is_shaped)
    control_hz = words.control_hz or settings.get("control_freq")
    if not isinstance(control_hz, int | float) or not 0 < control_hz < float("inf"):
        way_out = "Give --mapping a YAML file with `control_hz: HZ`."
        raise file.unreadable("control_hz", "env_args.env_kwargs.control_freq does not tell the rate", way_out)
    robots, task = settings.get("robots", UNKNOWN), str(environment.get("env_name", UNKNOWN))
    robot = "+".join(map(str, robots)) if isinstance(robots, list) else str(robots)
    robot, task = (robot if words.robot == UNKNOWN else words.robot), (task if words.task == UNKNOWN else words.task)
    observations, actions, images, keys = _features(file, demo, words)
    contract = Contract(robot, task, tuple(observations), tuple(actions), float(control_hz), tuple(images))
    return _Plan(contract, keys, False, meta, is_shaped)


def _environment(file: Hdf5Reader) -> dict[str, Any]:
    text = file.attribute("data", "env_args")
    if text is None:
        return {}
    try:
        environment = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise file.unreadable("data", f"attribute env_args: {error}") from error
    if not isinstance(environment, dict):
        raise file.unreadable("data", "attribute env_args: no JSON object")
    return environment


def _created(file: Hdf5Reader) -> str:
    """Give the date of a file of robosuite (month-day-year), or when the file was last changed."""
    text = f"{file.attribute('data', 'date')} {file.attribute('data', 'time')}"
    try:
        date = datetime.strptime(text, "%m-%d-%Y %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        date = datetime.fromtimestamp(int(file.path.stat().st_mtime), UTC)
    return date.isoformat(timespec="milliseconds")


def _features(
    file: Hdf5Reader, demo: str, words: Mapping
) -> tuple[list[Feature], list[Feature], list[ImageFeature], dict[str, str]]:
    names = file.names(f"data/{demo}/obs")
    if not names:
        way_out = "Extract observations first, with robomimic's dataset_states_to_obs.py."
        raise file.unreadable(f"data/{demo}/obs", "there are no observations", way_out)
    places = {name: f"obs/{name}" for name in names} | {"actions": "actions"}
    words.require_keys(places)
    observations: list[Feature] = []
    actions: list[Feature] = []
    images: list[ImageFeature] = []
    keys: dict[str, str] = {}
    for name, place in places.items():
        said, array = words.feature(name), file.array(f"data/{demo}/{place}")
        if array is None or said.group == "none":
            continue
        keys[said.name] = place
        shape, dtype = tuple(array.shape[1:]), array.dtype.name
        is_action = (said.group or ("actions" if place == "actions" else "observations")) == "actions"
        if not is_action and len(shape) == 3 and shape[2] == 3 and dtype == "uint8":
            images.append(ImageFeature(said.name, shape, said.frame, codec=said.codec, quality=said.quality))
        else:
            feature = Feature(said.name, shape, said.unit, said.frame, said.components, dtype)
            (actions if is_action else observations).append(feature)
    return observations, actions, images, keys


def _episodes(source: Path, demos: list[str], plan: _Plan) -> Iterator[Episode]:
    file = Hdf5Reader(source, _EXPECTED, _WAY_OUT)
    try:
        for demo in demos:
            yield _episode(file, f"data/{demo}", plan)
    finally:
        file.close()


def _episode(file: Hdf5Reader, demo: str, plan: _Plan) -> Episode:
    contract, keys = plan.contract, plan.keys
    shapes = {keys[f.name]: (f.shape, f.dtype) for f in contract.features if f.name in keys}
    if plan.is_ours and contract.actions:
        shapes["actions"] = action_array(contract.actions)
    n_steps = _n_steps(file, demo, shapes)
    values = {
        key: _rows(file, f"{demo}/{key}", n_steps, *shapes[key])
        for key in shapes
        if key not in {keys[image.name] for image in contract.images}
    }
    if plan.is_ours:
        actions = split_actions(contract, values["actions"]) if contract.actions else {}
    else:
        actions = {feature.name: values[keys[feature.name]] for feature in contract.actions}
    time_s, commands = (file.array(f"{demo}/{key}") if plan.is_ours else None for key in ("time_s", "commands"))
    return Episode(
        contract=contract,
        observations={feature.name: values[keys[feature.name]] for feature in contract.observations},
        actions=actions,
        time_s=np.arange(n_steps) * contract.period_s
        if time_s is None
        else file.rows(f"{demo}/time_s", time_s, 0, n_steps),
        meta=_meta(file, demo, plan, n_steps),
        commands=None if commands is None else file.rows(f"{demo}/commands", commands, 0, n_steps),
        images={image.name: _frames(file, f"{demo}/{keys[image.name]}", image, n_steps) for image in contract.images},
    )


def _n_steps(file: Hdf5Reader, demo: str, shapes: dict[str, tuple[tuple[int, ...], str]]) -> int:
    """Tell the number of rows, which all arrays of a demonstration and its num_samples share."""
    n_rows: dict[str, int] = {}
    for key in (*shapes, "rewards", "dones", "time_s", "commands"):
        array = file.array(f"{demo}/{key}")
        if array is not None:
            n_rows[key] = array.shape[0]
        elif key in shapes:
            raise file.unreadable(f"{demo}/{key}", "it is missing, though the first demonstration has it")
    first, n_steps = next(iter(n_rows.items()))
    for key, found in n_rows.items():
        if found != n_steps:
            raise file.unreadable(f"{demo}/{key}", f"it has {found} rows, but {first} has {n_steps}")
    told = file.attribute(demo, "num_samples")
    if told is not None and told != n_steps:
        raise file.unreadable(demo, f"attribute num_samples is {told}, but {first} has {n_steps} rows")
    if not n_steps:
        raise file.unreadable(demo, "it has no rows")
    return n_steps


def _require(file: Hdf5Reader, key: str, shape: tuple[int, ...], dtype: str) -> Any:
    array = file.array(key)
    if array is None or tuple(array.shape[1:]) != shape or array.dtype.name != dtype:
        found = "it is missing" if array is None else f"shape {array.shape} of {array.dtype.name}"
        raise file.unreadable(key, f"{found}, expected (T, {', '.join(map(str, shape))}) of {dtype}")
    return array


def _rows(file: Hdf5Reader, key: str, n_steps: int, shape: tuple[int, ...], dtype: str) -> Array:
    """Read an array whole; robomimic wants one axis beside time at least, so a number a step is (T, 1) in our files."""
    array = file.array(key)
    if array is not None and array.shape[1:] == (1,) and shape == ():
        return file.rows(key, _require(file, key, (1,), dtype), 0, n_steps)[:, 0]
    if array is not None and key.endswith("/actions") and array.shape[1:] == (int(np.prod(shape)),):
        flat = file.rows(key, _require(file, key, array.shape[1:], dtype), 0, n_steps)
        return flat.reshape(n_steps, *shape)
    return file.rows(key, _require(file, key, shape, dtype), 0, n_steps)


def _frames(file: Hdf5Reader, key: str, feature: ImageFeature, n_steps: int) -> Frames:
    array, encoded = _require(file, key, feature.shape, feature.dtype), []
    for begin in range(0, n_steps, _DECODED_AT_ONCE):
        some = file.rows(key, array, begin, min(begin + _DECODED_AT_ONCE, n_steps))
        encoded += [encode(feature, frame) for frame in some]
    return Frames.of_encoded(feature, encoded)


def _meta(file: Hdf5Reader, demo: str, plan: _Plan, n_steps: int) -> EpisodeMeta:
    origin = f"robomimic, {file.path.name}, {demo.removeprefix('data/')}"
    held = file.attribute(demo, DESCRIPTION)
    if plan.is_ours and isinstance(held, str):
        try:
            return EpisodeMeta.from_plain(json.loads(held) | {"origin": origin})
        except (ValueError, TypeError, RecursionError) as error:
            raise file.unreadable(demo, f"attribute {DESCRIPTION}: {error}") from error
    success, total = _verdict(file, demo, plan, n_steps)
    shared = plan.meta
    return EpisodeMeta(shared.source, shared.operator, None, success, total, created=shared.created, origin=origin)


def _verdict(file: Hdf5Reader, demo: str, plan: _Plan, n_steps: int) -> tuple[bool | None, float | None]:
    """Tell success, as `read` describes, and the sum of rewards."""
    rewards, dones = (file.array(f"{demo}/{key}") for key in ("rewards", "dones"))
    total = None
    if rewards is not None:
        values = file.rows(f"{demo}/rewards", rewards, 0, n_steps)
        total = float(values.sum(dtype=np.float64))
        if not plan.is_shaped:
            return bool(np.any(values > 0)), total
    if dones is not None and np.any(file.rows(f"{demo}/dones", dones, 0, n_steps)[:-1]):
        return True, total
    return None, total
