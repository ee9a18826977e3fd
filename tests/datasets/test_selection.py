"""Selections: each criterion alone, all together, and slips of the pen that are not taken for "none found"."""

import pytest

from ashore.datasets.errors import InvalidSelection
from ashore.datasets.selection import Selection, parse_range, select
from ashore.datasets.store import EpisodeStore

METAS = (
    {
        "success": True,
        "operator": "ann",
        "draw": {"mass_kg": 0.1, "start_m": [0.0, 0.2]},
        "created": "2026-01-01T23:00:00+00:00",
    },
    {
        "success": False,
        "operator": "bob",
        "draw": {"mass_kg": 0.5, "start_m": [0.4, 0.2]},
        "created": "2026-01-02T08:00:00+00:00",
    },
    {"operator": "ann", "instruction": "Pick up the RED cube", "created": "2026-01-03T08:00:00+00:00"},
    {"success": True, "operator": "cem", "draw": {"mass_kg": 0.9}, "created": "2026-01-04T00:30:00+01:00"},
)


@pytest.fixture
def store(store_path, contract, make_episode) -> EpisodeStore:
    made = EpisodeStore.create(store_path, contract)
    for number, meta in enumerate(METAS):
        made.append(make_episode(number, n_steps=5 * (number + 1), **meta))
    return made


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ({}, [0, 1, 2, 3]),
        ({"success": "yes"}, [0, 3]),
        ({"success": "no"}, [1]),
        ({"success": "unjudged"}, [2]),
        ({"operator": ("ann", "bob")}, [0, 1, 2]),
        ({"source": "simulation"}, [0, 1, 2, 3]),
        ({"source": "real"}, []),
        ({"instruction": "red cube"}, [2]),
        ({"draw": {"mass_kg": (0.1, 0.5)}}, [0, 1]),
        ({"draw": {"mass_kg": (0.6, float("inf"))}}, [3]),
        ({"draw": {"start_m": (0.0, 0.3)}}, [0]),
        ({"min_steps": 10}, [1, 2, 3]),
        ({"min_steps": 10, "max_steps": 15}, [1, 2]),
        ({"since": "2026-01-02"}, [1, 2, 3]),
        ({"until": "2026-01-02"}, [0, 1]),
        ({"since": "2026-01-03T23:00:00", "until": "2026-01-03"}, [3]),
        ({"success": "yes", "operator": ("ann",), "draw": {"mass_kg": (0, 1)}}, [0]),
    ],
)
def test_what_is_given_must_hold(store, criteria, found) -> None:
    assert select(store, Selection(**criteria)) == found


def test_deleted_episodes_are_not_found_and_trims_count(store) -> None:
    from ashore.datasets.curating import delete, trim

    delete(store, [3], "ann", "x")
    trim(store, 2, 0, 4, "ann", "x")
    assert select(store, Selection(max_steps=5)) == [0, 2]


def test_every_fault_is_named_at_once_with_the_valid_choices(store) -> None:
    wrong = Selection(
        success="maybe", operator=("anna",), draw={"mas_kg": (1, 0)}, min_steps=9, max_steps=3, since="yesterday"
    )
    with pytest.raises(InvalidSelection) as caught:
        select(store, wrong)
    words = (
        "has 6 fault(s)",
        "success: 'maybe'; valid: 'yes', 'no', 'unjudged'",
        "draw mas_kg: 1 to 0",
        "steps: 9 to 3",
        "since: 'yesterday'",
        "draw 'mas_kg': no episode has it; valid: 'mass_kg', 'start_m'. Did you mean 'mass_kg'?",
        "operator 'anna': no episode has it; valid: 'ann', 'bob', 'cem'. Did you mean 'ann'?",
    )
    assert all(word in str(caught.value) for word in words)


def test_ranges_are_read_with_either_end_left_out() -> None:
    assert parse_range("mass_kg=0.1:0.5") == ("mass_kg", (0.1, 0.5))
    assert parse_range("mass_kg=:0.5") == ("mass_kg", (float("-inf"), 0.5))
    assert parse_range("mass_kg=-1e-3:") == ("mass_kg", (-1e-3, float("inf")))


@pytest.mark.parametrize("text", ["mass_kg", "mass_kg=3", "=1:2", "mass_kg=a:b", ""])
def test_what_is_no_range_is_refused(text) -> None:
    with pytest.raises(InvalidSelection, match="NAME=LOW:HIGH"):
        parse_range(text)
