"""A store that the first version wrote, kept as it is: never made again to please a test."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from ashore.datasets.contract import Contract
from ashore.datasets.store import EpisodeStore

GOLDEN = Path(__file__).parents[1] / "golden" / "store_v1" / "store"


@pytest.fixture
def store(tmp_path) -> EpisodeStore:
    shutil.copytree(GOLDEN, tmp_path / "store")
    return EpisodeStore.open(tmp_path / "store")


def test_a_store_of_schema_1_is_read_number_by_number(store) -> None:
    assert len(store) == 3
    for i, episode in enumerate(store):
        n = 4 + i
        assert len(episode) == n
        assert np.array_equal(episode.observations["joint_pos_rad"], np.arange(3 * n).reshape(n, 3) / 16 + i)
        quat = np.tile([1.0, 0, 0, 0], (n, 1)) + np.arange(4 * n).reshape(n, 4) / 1024
        assert np.array_equal(episode.observations["tcp_quat_base_wxyz"], quat)
        assert episode.observations["closed"].tolist() == [k % 2 == 0 for k in range(n)]
        assert np.array_equal(episode.observations["tactile"].ravel(), np.arange(4 * n) % 251)
        assert np.array_equal(episode.actions["joint_target_rad"], np.arange(3 * n).reshape(n, 3) / 8 - i)
        assert (episode.commands is None) == (i == 2)
        assert episode.meta.seed == 7 + i
        assert episode.meta.draw == {"mass_kg": 0.25, "friction": [0.5, 1.0]}
        assert episode.meta.metrics["error_m"] == (float("inf") if i else 0.001)


def test_its_contract_keeps_its_bytes_and_its_digest() -> None:
    text = (GOLDEN / "contract.json").read_bytes()
    contract = Contract.from_json(text.decode())
    assert contract.schema_version == 1
    assert contract.to_json().encode() == text
    assert contract.digest == hashlib.sha256(text).hexdigest()


def test_its_journal_is_recovered_and_it_can_be_added_to(store) -> None:
    assert [(item.episode_index, item.n_steps) for item in store.recover()] == [(3, 3)]
    assert store.read(3).meta.truncated
    assert store.append(store.read(0)) == 4
    assert store.verify() == []
    assert len(EpisodeStore.open(store.path)) == 5
