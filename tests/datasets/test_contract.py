import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.datasets.contract import Contract, Feature
from ashore.datasets.errors import ContractMismatch, InvalidContract, InvalidSample, UnreadableFile


@given(data=st.data())
def test_json_gives_the_same_contract_back(any_contract, data) -> None:
    contract = data.draw(any_contract)
    again = Contract.from_json(contract.to_json())
    assert again == contract
    assert again.digest == contract.digest


@given(data=st.data())
def test_differences_mirror_each_other(any_contract, data) -> None:
    one, other = data.draw(any_contract), data.draw(any_contract)
    forth = {(d.field, d.left, d.right) for d in one.differences(other)}
    assert forth == {(d.field, d.right, d.left) for d in other.differences(one)}
    assert (not forth) == (one == other)
    assert not one.differences(one)


@given(data=st.data())
def test_flat_observations_split_into_what_they_were(any_contract, any_episode, data) -> None:
    contract = data.draw(any_contract)
    episode = data.draw(any_episode(contract))
    flat = contract.flatten_observation(episode.observations)
    assert flat.shape == (len(episode), contract.observation_width)
    for name, value in contract.split_observation(flat).items():
        np.testing.assert_array_equal(value, episode.observations[name].astype(np.float32))


def test_a_mismatch_names_both_sides_and_every_field(contract) -> None:
    other = Contract.from_json(contract.to_json().replace('"rad"', '"deg"').replace("20.0", "10.0"))
    with pytest.raises(ContractMismatch) as caught:
        contract.require_same(other, "policy P", "robot R")
    text = str(caught.value)
    assert all(word in text for word in ("policy P", "robot R", "control_hz", "joint_pos_rad.unit", "retrain"))


def test_a_contract_lists_all_its_faults_at_once() -> None:
    bad = Feature("9lives/..", (2,), "m", "base", ("x",), dtype="object", low=(0.0,))
    with pytest.raises(InvalidContract) as caught:
        Contract("r", "t", (), (bad,), control_hz=0.0)
    text = str(caught.value)
    assert all(word in text for word in ("9lives", "'object'", "1 names for 2", "low", "at least one", "control_hz"))


def test_a_sample_is_refused_with_all_its_faults(contract) -> None:
    sample = {"joint_pos_rad": np.array([0.0, np.nan, 0.0]), "closed": np.zeros(2), "extra": np.zeros(1)}
    with pytest.raises(InvalidSample) as caught:
        contract.check(sample, "step 3")
    text = str(caught.value)
    assert all(word in text for word in ("step 3", "joint_pos_rad", "NaN", "shape (2,)", "extra", "tcp_target_base_m"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 99}', '{"schema_version": 1, "robot": 3}'])
def test_a_foreign_text_is_no_contract(text: str) -> None:
    with pytest.raises(UnreadableFile, match=r"here\.json"):
        Contract.from_json(text, "here.json")


def test_an_unknown_key_is_refused(contract) -> None:
    raw = json.loads(contract.to_json()) | {"colour": "red"}
    with pytest.raises(UnreadableFile, match="colour"):
        Contract.from_json(json.dumps(raw))
