"""Encoding against numpy and scipy, its refusals, and relative actions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learning_cases import CONTRACT, ENCODING, random_quaternions
from scipy.spatial.transform import Rotation

from ashore.policies.actions import RelativeActions
from ashore.policies.encoding import Encoder, EncodingSpec, folded_yaw, rotation_6d
from ashore.policies.errors import InvalidEncoding


def windows(seed: int, n: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-0.5, 0.5, (2, n, 2, 3))
    quaternions = random_quaternions(rng, 2, n, 2)
    parts = (positions[0], quaternions[0], positions[1], quaternions[1])
    return np.concatenate(parts, axis=-1).astype(np.float32)


def rotations(quat_wxyz: np.ndarray) -> Rotation:
    return Rotation.from_quat(quat_wxyz.reshape(-1, 4), scalar_first=True)


def test_default_passes_everything_on() -> None:
    obs = torch.from_numpy(windows(0))
    encoder = Encoder(EncodingSpec(), CONTRACT)
    assert encoder.width == CONTRACT.observation_width
    assert torch.equal(encoder(obs), obs)


@given(st.integers(0, 10_000))
def test_encoding_equals_numpy(seed: int) -> None:
    obs = windows(seed)
    encoder = Encoder(EncodingSpec.from_mapping(ENCODING), CONTRACT)
    got = encoder(torch.from_numpy(obs)).numpy()
    tcp, tcp_quat, thing, thing_quat = obs[..., :3], obs[..., 3:7], obs[..., 7:10], obs[..., 10:]
    columns = rotations(tcp_quat).as_matrix()[:, :, :2].transpose(0, 2, 1).reshape(5, 2, 6)
    relative = (rotations(tcp_quat).inv() * rotations(thing_quat)).as_quat(scalar_first=True).reshape(5, 2, 4)
    yaw = 2 * np.arctan2(relative[..., 3], relative[..., 0])
    wanted = (tcp, thing, thing_quat, columns, thing - tcp, np.tanh((thing - tcp) / 0.02))
    wanted += (np.cos(4 * yaw)[..., None], np.sin(4 * yaw)[..., None])
    assert got.shape[-1] == encoder.width
    assert np.abs(got[..., :-2] - np.concatenate(wanted[:-2], -1)).max() < 1e-5
    # Where the two look away from each other rather than alike, yaw is counted from the turned frame instead.
    is_alike = np.hypot(relative[..., 0], relative[..., 3]) > np.hypot(relative[..., 1], relative[..., 2]) + 1e-3
    assert np.abs(got[..., -2:] - np.concatenate(wanted[-2:], -1))[is_alike].max(initial=0) < 1e-3


def test_signs_and_symmetry_leave_the_encoding_alone() -> None:
    rng = np.random.default_rng(1)
    quat, frame = (torch.from_numpy(random_quaternions(rng, 50)) for _ in range(2))
    assert torch.allclose(rotation_6d(-quat), rotation_6d(quat))
    assert torch.allclose(folded_yaw(-quat, frame, 4), folded_yaw(quat, frame, 4))
    upright = torch.zeros(50, 4, dtype=torch.float64)
    angles = torch.linspace(-3, 3, 50, dtype=torch.float64)
    upright[:, 0], upright[:, 3] = torch.cos(angles / 2), torch.sin(angles / 2)
    turned = upright.clone()
    turned[:, 0], turned[:, 3] = torch.cos(angles / 2 + np.pi / 4), torch.sin(angles / 2 + np.pi / 4)
    level = torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64)
    assert torch.allclose(folded_yaw(turned, level, 4), folded_yaw(upright, level, 4), atol=1e-6)


def test_yaw_is_steady_for_a_tool_that_looks_down() -> None:
    angles = torch.linspace(-3, 3, 50, dtype=torch.float64)
    zero = torch.zeros_like(angles)
    cube = torch.stack([torch.cos(angles / 2), zero, zero, torch.sin(angles / 2)], dim=-1)
    tool = torch.tensor([[0.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    wobble = torch.nn.functional.normalize(cube + 1e-3 * torch.randn(50, 4, dtype=torch.float64), dim=-1)
    yaw = folded_yaw(cube, tool, 4)
    assert torch.allclose(yaw.norm(dim=-1), torch.ones(50, dtype=torch.float64))
    assert torch.allclose(folded_yaw(wobble, tool, 4), yaw, atol=0.05)
    assert torch.allclose(yaw[:, 0], torch.cos(4 * angles))
    assert torch.allclose(yaw[:, 1].abs(), torch.sin(4 * angles).abs())


def test_every_fault_is_named_at_once() -> None:
    raw = {"relative": [["object_pos", "tcp_quat_base_wxyz"]], "yaw": [["tcp_pos_base_m", "tcp_quat_base_wxyz", 0]]}
    with pytest.raises(InvalidEncoding) as error:
        Encoder(EncodingSpec.from_mapping({**raw, "snap": ["grip"], "fine_scale": -1.0}), CONTRACT)
    text = str(error.value)
    for part in ("Did you mean 'object_pos_base_m'", "4 elements, not 3", "0 folds", "snap grip", "fine_scale: -1.0"):
        assert part in text
    with pytest.raises(InvalidEncoding, match=r"relativ: unknown.*Did you mean 'relative'"):
        EncodingSpec.from_mapping({"relativ": []})


def test_spec_survives_json() -> None:
    spec = EncodingSpec.from_mapping(ENCODING)
    assert EncodingSpec.from_mapping(spec.to_mapping()) == spec


def test_relative_actions_use_the_newest_observation_and_come_back() -> None:
    rng = np.random.default_rng(2)
    obs = torch.from_numpy(windows(2))
    actions = torch.from_numpy(rng.normal(size=(5, 8, 4)).astype(np.float32))
    frame = RelativeActions(CONTRACT)
    relative = frame.to_relative(actions, obs)
    assert torch.allclose(relative[..., :3], actions[..., :3] - obs[:, 1:, :3])
    assert torch.equal(relative[..., 3], actions[..., 3])
    assert torch.allclose(frame.to_absolute(relative, obs), actions, atol=1e-6)
