"""The training loop: it learns, resumes to the same bits after being killed, and refuses what does not fit."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learning_cases import CONTRACT, ENCODING, ArrayWindows, reach_data

from ashore.datasets.errors import StoreLocked
from ashore.policies.cards import direct_card
from ashore.policies.checkpoint import (
    Checkpoint,
    RunSettings,
    load_checkpoint,
    load_run,
    load_settings,
    save_checkpoint,
)
from ashore.policies.configuration import read_config
from ashore.policies.distillation import student_weights
from ashore.policies.encoding import EncodingSpec
from ashore.policies.errors import (
    InvalidConfig,
    NotARun,
    NotEnoughMemory,
    RunExists,
    TooFewWindows,
    TrainingDiverged,
    UnusableData,
)
from ashore.policies.generation.consistency import ConsistencyConfig
from ashore.policies.generation.ddpm import DDPMConfig
from ashore.policies.generation.regression import RegressionConfig
from ashore.policies.generation.samplers import SamplerConfig
from ashore.policies.losses import FromData, FromTeacher
from ashore.policies.memory import estimate, require_memory
from ashore.policies.metrics import read_metrics
from ashore.policies.networks.act import ACTConfig
from ashore.policies.networks.mlp import MLPConfig
from ashore.policies.networks.presets import n_parameters
from ashore.policies.policy import Policy, PolicyConfig
from ashore.policies.training import kind_of, run_training
from ashore.policies.training_data import TrainingData
from ashore.policies.training_loop import TrainingConfig
from ashore.sim.interfaces import make_interface

SHAPE = PolicyConfig(
    prediction_horizon=8,
    encoding=EncodingSpec.from_mapping(ENCODING),
    network=MLPConfig(width=128, blocks=2),
)
QUICK = TrainingConfig(updates=40, batch_size=64, checkpoint_s=0.05, log_updates=5)


def run(path: Path, training: TrainingConfig = QUICK, data: TrainingData | None = None, **keywords) -> Path:
    settings = RunSettings("diffusion", SHAPE, asdict(training), ("memory",))
    return run_training(path, settings, data or reach_data(), FromData(), **keywords)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(
        tmp_path_factory.mktemp("runs") / "teacher",
        replace(QUICK, updates=500, batch_size=128, learning_rate=5e-3, average_decay=0.99, checkpoint_s=60.0),
    )


def test_it_learns_to_reach_and_grip(trained: Path) -> None:
    planner = load_run(trained)
    obs, wanted, _ = (tensor.numpy() for tensor in reach_data(300, seed=7).gather(np.arange(300)))
    noise = np.random.default_rng(0).normal(size=(300, 8, 4)).astype(np.float32)
    got = planner.plan(obs, noise)
    assert got.shape == (300, 8, 4) and got.dtype == np.float32
    assert np.array_equal(got, planner.plan(obs, noise))
    assert np.abs(got - wanted)[..., :3].mean() < 0.02  # A policy that stays where it is errs by 0.1.
    assert set(np.unique(got[..., 3].round(6))) == {np.float32(0.0), np.float32(0.08)}
    assert (np.abs(got - wanted)[..., 3] < 1e-6).mean() > 0.85


def test_a_run_holds_what_it_must(trained: Path) -> None:
    settings, contract, card = load_settings(trained)
    assert contract == CONTRACT and card.commands == CONTRACT.actions and settings.policy == SHAPE
    assert settings.to_mapping() == json.loads((trained / "config.json").read_text())
    with np.load(trained / "calibration.npz") as calibration:
        assert calibration["obs"].shape == (60, 2, 14) and calibration["fitted"].shape == (1940, 2, 14)
    rows = read_metrics(trained)
    assert rows[-1]["update"] == 500 and rows[-1]["held_out_loss"] < rows[0]["loss"]
    assert list((trained / "tb").iterdir())
    assert sorted(path.name for path in (trained / "checkpoint").iterdir()) == [
        "average.safetensors",
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]


def test_progress_is_told_and_a_finished_run_stays(trained: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    run(tmp_path / "run", progress=lambda done, total, note: told.append((done, total, note)))
    assert told[-1][:2] == (40, 40) and "samples/s" in told[-1][2] and "loss" in told[-1][2]
    before = load_checkpoint(tmp_path / "run")
    told.clear()
    run(tmp_path / "run", progress=lambda done, total, note: told.append((done, total, note)))
    assert told == [] and load_checkpoint(tmp_path / "run").update == before.update


def test_minutes_end_by_the_clock(tmp_path: Path) -> None:
    training = replace(QUICK, updates=None, minutes=1 / 60)
    started = time.monotonic()
    run(tmp_path / "run", training)
    assert load_checkpoint(tmp_path / "run").elapsed_s >= 1.0
    assert time.monotonic() - started < 20.0


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import torch
torch.set_num_threads(1)
from dataclasses import replace
from test_training import QUICK, run
run(Path(sys.argv[1]), replace(QUICK, updates=150), progress=lambda *told: print(*told, flush=True))
"""


def test_a_run_killed_anywhere_ends_in_the_same_bits(tmp_path: Path) -> None:
    training = replace(QUICK, updates=150)
    whole, broken = run(tmp_path / "whole", training), tmp_path / "broken"
    command = [sys.executable, "-c", CHILD, str(broken), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            if int(line.split()[0]) >= 40 and (broken / "checkpoint").exists():
                os.kill(child.pid, signal.SIGSTOP)
                with pytest.raises(StoreLocked, match=f"process {child.pid} "):
                    run(broken, training)
                os.kill(child.pid, signal.SIGKILL)
                break
    assert child.returncode == -signal.SIGKILL
    killed_at = load_checkpoint(broken).update
    assert 0 < killed_at < 150
    run(broken, training)
    first, second = load_checkpoint(whole), load_checkpoint(broken)
    for part in ("model", "average", "optimizer"):
        ours, theirs = getattr(first, part), getattr(second, part)
        assert ours.keys() == theirs.keys()
        differing = {
            name: float((ours[name].double() - theirs[name].double()).abs().nan_to_num().sum()) for name in ours
        }
        assert not any(differing.values()), f"{part} differs after a kill at update {killed_at}: {differing}"
    updates = [int(row["update"]) for row in csv.DictReader((broken / "metrics.csv").open())]
    assert updates == sorted(set(updates)) and updates[-1] == 150


@pytest.mark.parametrize("moment", ["half written", "between renames"])
def test_a_checkpoint_survives_a_kill_while_it_is_replaced(tmp_path: Path, moment: str) -> None:
    def checkpoint(update: int) -> Checkpoint:
        weights = {"w": torch.full((3,), float(update))}
        return Checkpoint(update, 1.0, False, weights, weights, weights)

    save_checkpoint(tmp_path, checkpoint(1))
    if moment == "half written":
        (tmp_path / "checkpoint.next").mkdir()
        (tmp_path / "checkpoint.next" / "model.safetensors").write_bytes(b"half")
    else:
        (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.old")
    assert load_checkpoint(tmp_path).update == 1
    save_checkpoint(tmp_path, checkpoint(2))
    assert load_checkpoint(tmp_path).update == 2
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("form", ["solution", "distillation", "trajectory"])
def test_a_student_needs_one_evaluation_and_keeps_up(trained: Path, tmp_path: Path, form: str) -> None:
    weights = dict(load_checkpoint(trained).average)
    teacher = Policy(SHAPE, CONTRACT)
    teacher.load_state_dict(weights)
    shape = replace(SHAPE, process=ConsistencyConfig(form=form))
    training = replace(QUICK, updates=150, learning_rate=2e-4, average_decay=0.99)
    settings = RunSettings("consistency", shape, asdict(training), ("memory",), "teacher")
    run_training(
        tmp_path / "run",
        settings,
        reach_data(),
        FromTeacher(teacher.network.eval(), SHAPE.process),
        start=student_weights(teacher, Policy(shape, CONTRACT)),
    )
    student, planner = load_run(tmp_path / "run"), load_run(trained)
    calls = []
    student.policy.network.register_forward_hook(lambda *_: calls.append(1))
    obs, wanted, _ = (tensor.numpy() for tensor in reach_data(300, seed=7).gather(np.arange(300)))
    noise = np.random.default_rng(0).normal(size=(300, 8, 4)).astype(np.float32)
    error, reference = (np.abs(p.plan(obs, noise) - wanted)[..., :3].mean() for p in (student, planner))
    assert len(calls) == 1 and error < max(1.2 * reference, 0.04)


def test_what_does_not_fit_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(RunExists, match=r"training: there .*\n.*--out"):
        run(trained)
    with pytest.raises(TooFewWindows, match="one batch of 4096"):
        run(tmp_path / "big", replace(QUICK, batch_size=4096))
    with pytest.raises(TooFewWindows, match="at least two episodes"):
        TrainingData(CONTRACT, ArrayWindows(np.zeros((3, 2, 14)), np.zeros((3, 8, 4))), np.zeros(3))
    with pytest.raises(NotARun, match=r"config\.json is missing"):
        load_run(tmp_path)
    with pytest.raises(InvalidConfig, match=r"(?s)minutes: -1.*threads: 0.*updates: 0"):
        TrainingConfig(minutes=-1, threads=0, updates=0)
    with pytest.raises(InvalidConfig, match="predict more or execute fewer"):
        PolicyConfig(prediction_horizon=4, action_horizon=4)
    with pytest.raises(InvalidConfig, match="Did you mean 'batch_size'"):
        read_config(TrainingConfig, {"batchsize": 3})
    with pytest.raises(InvalidConfig, match=r"(?s)minutes: 'long'; expected float.*precision: 'fp8'; expected 'auto'"):
        read_config(TrainingConfig, {"minutes": "long", "precision": "fp8", "updates": None})
    with pytest.raises(InvalidConfig, match="kind: 'cnn'; valid: 'mlp', 'unet'"):
        read_config(PolicyConfig, {"network": {"kind": "cnn"}})


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    def broken(network, average, sample):
        return FromData()(network, average, sample) * float("nan")

    settings = RunSettings("diffusion", SHAPE, asdict(QUICK), ("memory",))
    with pytest.raises(TrainingDiverged, match="not finite at update"):
        run_training(tmp_path / "run", settings, reach_data(), broken)
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_a_generic_card_takes_actions_as_they_are() -> None:
    card = direct_card(CONTRACT, np.zeros(4), np.ones(4))
    assert card.command_hz == 20.0 and card.command_width == 4
    assert card.limits.low == pytest.approx([-0.1] * 4, abs=1e-5) and card.limits.high[0] == pytest.approx(
        1.1, abs=1e-5
    )
    assert type(card).from_json(card.to_json()) == card


def test_the_generic_interface_joins_actions_and_holds_the_last() -> None:
    interface = make_interface(direct_card(CONTRACT, np.zeros(4), np.ones(4)).interface)
    action = {"tool_pos_base_m": np.ones((2, 3)), "gripper_target_m": np.zeros((2, 1))}
    command = interface.decode(action, {})
    assert command.tolist() == [[1, 1, 1, 0], [1, 1, 1, 0]]
    assert np.array_equal(interface.stop({}, command), command)
    assert interface.derive(action).keys() == action.keys()


@pytest.mark.parametrize(("kind", "place"), [("observation", 0), ("action", 1)])
def test_numbers_that_are_not_finite_are_refused_by_name(tmp_path: Path, kind: str, place: int) -> None:
    data = reach_data(400)
    arrays = (data.windows.obs, data.windows.actions)
    arrays[place][7, 1, 2] = np.nan
    named = {"observation": "tcp_pos_base_m", "action": "tool_pos_base_m"}[kind]
    with pytest.raises(UnusableData, match=f"{named}: NaN or infinity in 1 of 400 windows"):
        run(tmp_path / "run", data=data)
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_actions_that_never_change_are_refused_and_constant_features_named(tmp_path: Path) -> None:
    data = reach_data(400)
    data.windows.obs[..., 7:10] = 0.5
    assert data.constants() == ["object_pos_base_m"]
    data.windows.actions[:] = 0.1
    data.windows.obs[..., :3] = 0.0  # They are relative to it.
    with pytest.raises(UnusableData, match="actions: the same in every step"):
        run(tmp_path / "run", data=data)


def test_memory_is_estimated_and_a_run_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, data = Policy(SHAPE, CONTRACT), reach_data(400)
    small, large = estimate(policy, data, 64), estimate(policy, data, 640)
    assert large.activations == pytest.approx(10 * small.activations)
    assert small.weights == 20 * n_parameters(policy) and small.data >= data.windows.obs.nbytes
    hidden = 64 * 4 * 128 * 2  # At least one hidden layer of each block is kept.
    assert hidden < small.activations < 100 * hidden
    monkeypatch.setattr("ashore.policies.memory.free_bytes", lambda: 1e6)
    with pytest.raises(NotEnoughMemory, match=r"(?s)activations.*--batch-size"):
        require_memory(policy, data, 64)


@pytest.mark.parametrize("kind", ["bc", "act", "consistency", "ddpm"])
def test_every_kind_of_policy_learns_to_reach(tmp_path: Path, kind: str) -> None:
    processes = {
        "bc": RegressionConfig(),
        "act": RegressionConfig(distance="l1"),
        "consistency": ConsistencyConfig(form="training", levels=80),
        "ddpm": DDPMConfig(),
    }
    network = ACTConfig(width=32, heads=2, feedforward=64) if kind == "act" else SHAPE.network
    sampler = SamplerConfig("ddpm") if kind == "ddpm" else SamplerConfig()
    shape = replace(SHAPE, process=processes[kind], network=network, sampler=sampler)
    training = replace(QUICK, updates=400, batch_size=128, learning_rate=3e-3, average_decay=0.99, checkpoint_s=60.0)
    settings = RunSettings(kind_of(shape), shape, asdict(training), ("memory",))
    assert settings.kind == ("diffusion" if kind == "ddpm" else kind)
    planner = load_run(run_training(tmp_path / "run", settings, reach_data(), FromData()))
    obs, wanted, _ = (tensor.numpy() for tensor in reach_data(300, seed=7).gather(np.arange(300)))
    noise = np.random.default_rng(0).normal(size=(300, *planner.noise_shape)).astype(np.float32)
    error = np.abs(planner.plan(obs, noise) - wanted)[..., :3].mean()
    assert error < 0.05  # A policy that stays where it is errs by 0.1.


FULL_DISK = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_training import QUICK, run
from ashore.datasets.errors import AshoreError
from ashore.policies.checkpoint import load_checkpoint, load_run
disk = Path(sys.argv[1])
run(disk / "run", replace(QUICK, updates=30, checkpoint_s=0.01))
(disk / "ballast").write_bytes(b"")
import os
free = os.statvfs(disk)
(disk / "ballast").write_bytes(bytes(max(free.f_bavail * free.f_frsize - 200_000, 0)))
config = disk / "run" / "config.json"
config.write_text(config.read_text().replace('"updates": 30', '"updates": 60'))
try:
    run(disk / "run", replace(QUICK, updates=60, checkpoint_s=0.01))
    print("never full")
except AshoreError as error:
    load_run(disk / "run")
    left = sorted(path.name for path in (disk / "run").glob("checkpoint*"))
    print(load_checkpoint(disk / "run").update, left, str(error).splitlines()[0])
"""


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    mount = 'mount -t tmpfs -o size=40M tmpfs "$1" && exec "$2" -c "$3" "$1"'
    script = FULL_DISK.format(tests=str(Path(__file__).parent))
    arguments = ["sh", "-c", mount, "sh", str(tmp_path / "disk"), sys.executable, script]
    done = subprocess.run(["unshare", "--mount", "--map-root-user", *arguments], capture_output=True, text=True)
    if done.returncode and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip(f"no file system of its own for a process here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.splitlines()[-1]
    assert said.startswith("30 ['checkpoint'] cannot save a checkpoint of") and "The checkpoint before is whole" in said


SEVERAL = """
import sys
sys.path.insert(0, {tests!r})
from dataclasses import replace
from pathlib import Path
from test_training import QUICK, run

run(Path({run!r}), replace(QUICK, candidates=4), judge=lambda candidate: int(candidate.stem) >= 30)
"""


def test_two_processes_share_a_batch_and_stop_together(tmp_path: Path) -> None:
    script = SEVERAL.format(tests=str(Path(__file__).parent), run=str(tmp_path / "run"))
    (tmp_path / "script.py").write_text(script)
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
    ]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    done = subprocess.run([*launch, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    both, alone = load_checkpoint(tmp_path / "run"), load_checkpoint(run(tmp_path / "alone"))
    assert both.update == 30 and both.has_stopped and alone.update == 40
    rows, before = read_metrics(tmp_path / "run"), read_metrics(tmp_path / "alone")
    assert [row["update"] for row in rows] == sorted({row["update"] for row in rows})  # One process writes.
    assert rows[-1]["held_out_loss"] < 1.5 * before[-1]["held_out_loss"]
    assert len(list((tmp_path / "run" / "candidates").glob("*.safetensors"))) == 2
