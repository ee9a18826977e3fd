"""What is beyond a fitted range or never changes is found, by name; names are those of the encoder's elements."""

import numpy as np
import torch
from learning_cases import CONTRACT, ENCODING

from ashore.policies.diagnosis.elements import element_names, element_units, encoded_names
from ashore.policies.diagnosis.ranges import find_frozen, measure_ranges
from ashore.policies.encoding import Encoder, EncodingSpec

NAMES = ("a", "b", "c")


def test_an_element_beyond_its_range_is_found_and_its_share_is_that_of_the_steps() -> None:
    rng = np.random.default_rng(0)
    seen = rng.uniform(-1, 1, (10, 100, 3))
    seen[:4, :20, 1] = 1.4
    found = measure_ranges(NAMES, (-np.ones(3), np.ones(3)), list(seen))
    assert found.beyond == [1]
    assert found.share_beyond.tolist() == [0.0, 0.08, 0.0]
    assert found.told(1) == "4 of 10 episodes (8.0% of the steps)"
    assert found.seen_high[1] == 1.4


def test_the_last_grain_of_a_range_and_what_few_episodes_leave_to_chance_do_not_count() -> None:
    seen = np.zeros((10, 100, 3))
    seen[:, :50, 0] = 1.04
    seen[:2, :, 1] = 2.0
    fitted = (-np.ones(3), np.ones(3))
    assert measure_ranges(NAMES, fitted, list(seen)).beyond == [1]
    assert measure_ranges(NAMES, fitted, list(seen), n_fitted=20).beyond == []


def test_what_is_frozen_is_told_by_side() -> None:
    rng = np.random.default_rng(0)
    data, rollouts = rng.normal(size=(2, 200, 4))
    data[:, :2], rollouts[:, 1:3] = 3.0, 5.0
    found = find_frozen(data, rollouts)
    assert (found.only_in_data, found.in_both, found.only_in_rollouts) == ((0,), (1,), (2,))


def test_every_encoded_element_has_its_name_in_its_place() -> None:
    spec = EncodingSpec.from_mapping(ENCODING)
    names, encoder = encoded_names(spec, CONTRACT), Encoder(spec, CONTRACT)
    assert len(names) == encoder.width == len(set(names))
    obs = torch.zeros(1, CONTRACT.observation_width)
    obs[0, CONTRACT.observation_slices["tcp_quat_base_wxyz"].start] = 1.0
    obs[0, CONTRACT.observation_slices["object_quat_base_wxyz"].start] = 1.0
    obs[0, CONTRACT.observation_slices["object_pos_base_m"].start + 2] = 0.5
    encoded = dict(zip(names, encoder(obs)[0].tolist(), strict=True))
    assert encoded["object_pos_base_m[2]"] == encoded["object_pos_base_m - tcp_pos_base_m [2]"] == 0.5
    assert encoded["object_pos_base_m - tcp_pos_base_m [2], fine"] > 0.99
    assert encoded["tcp_quat_base_wxyz, rotation [0]"] == 1.0
    assert encoded["yaw of object_quat_base_wxyz, cos"] > 0.99


def test_elements_are_named_by_their_feature_and_have_its_unit() -> None:
    assert element_names(CONTRACT.actions) == (*(f"tool_pos_base_m[{i}]" for i in range(3)), "gripper_target_m")
    assert set(element_units(CONTRACT.actions)) == {"m"}
