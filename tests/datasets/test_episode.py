from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.datasets.episode import Episode, EpisodeMeta, installed_versions
from ashore.datasets.errors import InvalidSample


@given(data=st.data())
def test_every_description_survives_plain_form(any_contract, any_episode, data) -> None:
    meta = data.draw(any_episode(data.draw(any_contract))).meta
    assert EpisodeMeta.from_plain(meta.to_plain()) == meta


def test_numbers_json_has_no_word_for_are_kept() -> None:
    meta = EpisodeMeta(
        "twin", metrics={"late_s": float("inf"), "error_m": float("nan")}, draw={"mass_kg": np.float64(2)}
    )
    again = EpisodeMeta.from_plain(meta.to_plain())
    assert again.metrics["late_s"] == float("inf")
    assert np.isnan(again.metrics["error_m"])
    assert again.draw == {"mass_kg": 2.0}


def test_an_episode_lists_all_its_faults_at_once(contract, make_episode) -> None:
    good = make_episode()
    with pytest.raises(InvalidSample) as caught:
        Episode(
            contract=contract,
            observations={"joint_pos_rad": good.observations["joint_pos_rad"] * np.nan, "speed": np.zeros(5)},
            actions={"tcp_target_base_m": np.zeros((4, 2))},
            time_s=np.array([0.0, 0.1, 0.1, 0.2, 0.3]),
            meta=replace(good.meta, source="dream"),
            commands=np.zeros((5, 0)),
        )
    text = str(caught.value)
    for word in (
        "'dream'",
        "step 2",
        "at step 0",
        "closed: missing",
        "speed: not in",
        "(4, 2), expected (5, 2)",
        "commands",
    ):
        assert word in text


@pytest.mark.parametrize(
    "value", [np.zeros((5, 3), dtype=object), np.full((5, 3), 1e300), np.zeros((5, 3), dtype="U1")]
)
def test_values_that_do_not_fit_the_dtype_are_refused(make_episode, value) -> None:
    good = make_episode()
    with pytest.raises(InvalidSample, match="joint_pos_rad"):
        replace(good, observations={**good.observations, "joint_pos_rad": value})


def test_versions_are_named() -> None:
    assert {"python", "numpy", "ashore"} <= installed_versions().keys()
