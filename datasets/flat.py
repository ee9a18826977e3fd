"""All steps of some stores in flat arrays: what windows are cut from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import FeatureMissing, InvalidWeights, NoActions, NoWindows, UnknownName
from ashore.datasets.frame_pool import FrameTable, FrameTableBuilder
from ashore.datasets.store import EpisodeStore

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class FlatEpisodes:
    """R steps of E episodes, one episode after the other."""

    contract: Contract
    """What the stores agree on: all observations and actions, and the images that were asked for."""
    obs: NDArray[np.float32]
    """(R, Do)."""
    actions: NDArray[np.float32]
    """(R, Da)."""
    frames: dict[str, FrameTable]
    """{image: where the frame of each of the R steps lies}."""
    episode_ends: NDArray[np.int64]
    """(E,) one past the last row of each episode."""
    store_of: NDArray[np.int64]
    """(E,) which of the stores it comes from."""
    index_of: NDArray[np.int64]
    """(E,) its index in that store."""
    place_of: NDArray[np.int64]
    """(E,) its number among all episodes of all stores, those that were left out counted."""
    weights: NDArray[np.float64]
    """(E,) what `weigh` said, 1 without it."""
    n_skipped: int
    """Failed episodes that were left out."""

    def pick(self, weights: Sequence[float] | Array) -> NDArray[np.float64]:
        """Take what belongs to these E episodes of an array that has one number for every episode of the stores.

        Raises:
            InvalidWeights: it has another number of them.
        """
        given, n_seen = np.asarray(weights, np.float64), len(self.place_of) + self.n_skipped
        if given.shape != (n_seen,):
            raise InvalidWeights(f"numbers of shape {given.shape}", f"one weight for each of {n_seen} episodes")
        return given[self.place_of]


def read_flat(
    stores: Sequence[EpisodeStore],
    images: Sequence[str],
    successful_only: bool,
    weigh: Callable[[EpisodeMeta], float] | None = None,
) -> FlatEpisodes:
    """Read stores of one contract, episode by episode; frames stay in their files.

    Raises:
        ContractMismatch: two stores differ in what was asked for; names both and every field.
        NoActions: they are reference sets.
        UnknownName: there is no such image.
        FeatureMissing: an episode lacks an optional feature.
        NoWindows: there is no episode.
    """
    contract = _agreed(stores, images)
    obs, actions, origins, lengths, weights = [], [], [], [], []
    tables = {image.name: FrameTableBuilder(image) for image in contract.images}
    n_seen = 0
    for number, store in enumerate(stores):
        for index in store.indices:
            n_seen += 1
            episode = store.read(index, on_disk=True)
            if successful_only and episode.meta.success is False:
                continue
            _require_features(contract, episode, store, index)
            obs.append(_flat_observation(contract, episode))
            actions.append(contract.flatten_action(episode.actions))
            for name, table in tables.items():
                table.add(episode.images[name])
            origins.append((number, index, n_seen - 1))
            lengths.append(len(episode))
            weights.append(1.0 if weigh is None else weigh(episode.meta))
    n_skipped = n_seen - len(lengths)
    if not lengths:
        raise NoWindows(n_seen, n_skipped, 1)
    store_of, index_of, place_of = np.array(origins, np.int64).T
    return FlatEpisodes(
        contract,
        np.concatenate(obs),
        np.concatenate(actions),
        {name: table.build() for name, table in tables.items()},
        np.cumsum(lengths, dtype=np.int64),
        store_of,
        index_of,
        place_of,
        np.array(weights, np.float64),
        n_skipped,
    )


def _agreed(stores: Sequence[EpisodeStore], images: Sequence[str]) -> Contract:
    if not stores:
        raise NoWindows(0, 0, 1)
    contracts = [_asked(store.contract, images) for store in stores]
    for store, contract in zip(stores, contracts, strict=True):
        contracts[0].require_same(contract, f"the store {stores[0].path}", f"the store {store.path}")
        if not contract.actions:
            raise NoActions(store.path)
    return contracts[0]


def _asked(contract: Contract, images: Sequence[str]) -> Contract:
    known = {image.name: image for image in contract.images}
    for name in images:
        if name not in known:
            raise UnknownName("image feature", name, sorted(known))
    return replace(contract, images=tuple(known[name] for name in dict.fromkeys(images)))


def _require_features(contract: Contract, episode: Episode, store: EpisodeStore, index: int) -> None:
    held = {*episode.observations, *episode.actions, *episode.images}
    for feature in contract.features:
        if feature.name not in held:
            raise FeatureMissing(store.path, index, feature.name)


def _flat_observation(contract: Contract, episode: Episode) -> Array:
    if not contract.observations:
        return np.zeros((len(episode), 0), np.float32)
    return contract.flatten_observation(episode.observations)
