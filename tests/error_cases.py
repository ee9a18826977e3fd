"""One example of every fault, as callers raise it; tests/errors.json holds the text of each."""

import errno
from pathlib import Path

from ashore.cli import errors as cli
from ashore.cli.demo import errors as demo
from ashore.datasets import errors as datasets
from ashore.datasets.contract import Difference
from ashore.datasets.errors import AshoreError
from ashore.policies import errors as policies
from ashore.real import errors as real
from ashore.sim import errors as sim

STORE, RUN, BUNDLE = Path("out/arm"), Path("out/run"), Path("out/policy.ashore")
RATE = Difference("control_hz", "20.0", "10.0", "retrain at that rate, or run the robot at the policy's")
FULL = OSError(errno.ENOSPC, "No space left on device")

CASES: tuple[AshoreError, ...] = (
    datasets.UnknownName("task", "arm/pick-plase", ("arm/pick-place", "quadrotor/hover")),
    datasets.InvalidContract(["force.shape: (0,); every side must be positive", "force: named twice"]),
    datasets.ContractMismatch("the policy", "the robot 'arm_b'", [RATE]),
    datasets.InvalidSample("step 12", ["tcp_pos_base_m: holds NaN or infinity", "gripper_width_m: missing"]),
    datasets.UnreadableFile(STORE / "contract.json", "a contract", "it is not JSON", "Collect it again."),
    datasets.NotAStore(STORE, "there is no store.json"),
    datasets.StoreExists(STORE),
    datasets.StoreLocked(STORE, "process 4711 (ashore collect) since 12:00"),
    datasets.ReadOnlyStore(STORE),
    datasets.StorageFailed(STORE, "commit an episode", FULL),
    datasets.DamagedFile(STORE / "episodes/000003.zarr.zip", "its SHA-256 is not the one in its name"),
    datasets.NoSuchEpisode(STORE, 12, "0 to 9"),
    datasets.RecordingEnded("add a step"),
    datasets.NoWindows(5, 2, 9),
    datasets.InvalidHorizons(2, 8, 9),
    datasets.CannotExport("crazyflie", "it is written by its devices alone", ("lerobot", "rosbag2")),
    datasets.NoActions(STORE),
    datasets.FeatureMissing(STORE, 3, "wrist"),
    datasets.InvalidWeights("shares (0, 0)", "at least one above zero"),
    datasets.InvalidBatch("300 windows in a batch", "1 to 256, the windows that there are"),
    datasets.InvalidEdit(STORE, "delete episodes", ["episode 12: not in the store; valid: 0 to 9"]),
    datasets.InvalidSelection(["draw 'frictoin': no episode has it; valid: 'friction'. Did you mean 'friction'?"]),
    datasets.InvalidRemote("s3:/arm", "it has no scheme", "write it as s3://BUCKET/FOLDER"),
    datasets.RemoteFailed("s3://robots/arm/snapshot.json", "read", OSError("Could not connect to the endpoint URL.")),
    datasets.RemoteConflict(
        "push", STORE, "s3://robots/arm", ["episode 7: there only"], "Run `ashore datasets pull` first."
    ),
    datasets.DamagedObject(
        "s3://robots/arm", "snapshot.json", "a sealed snapshot", "other bytes", "Remove that object and push again."
    ),
    sim.UnsupportedModel(["joint 'ball1': type ball; valid: hinge, slide, free"]),
    sim.InvalidProfile("mine.yaml", ["frictoin: unknown key. Did you mean 'friction'?"]),
    sim.UnknownTaskClass("my_tasks:Lift", "the module 'my_tasks' has no task 'Lift'", ["Lift2"]),
    sim.InvalidRandomization("the randomization my_cell.yaml", ["object_mass: body_mass could become -0.01"]),
    sim.InvalidRobotFile("my_arm.yaml", ["tool: the model has no 'tpc'; valid: 'tcp'. Did you mean 'tcp'?"]),
    sim.MissingEnvironment("gym_pusht/PushT-v9", "no such version", ["gym_pusht/PushT-v0"]),
    sim.UnsupportedEnvironment("Taxi-v3", ["action space: Discrete"]),
    sim.UnknownModelName("body", "objekt", ["object", "goal"]),
    sim.NoSimulations(0),
    sim.NoPicture("arm/pour"),
    sim.ExpertFails("arm/pick-place", 1, 40),
    sim.RenderingUnavailable("no EGL device"),
    sim.MixedMemory("HoverJudge", "distances", "a list"),
    sim.ViewerUnavailable("there is no display"),
    sim.InvalidEnvironment("arm/pick-place", ["reward: 'dense'; valid: 'shaped', 'sparse'"]),
    sim.CannotReplay("out/arm, episode 3", ["initial state: it was recorded without"]),
    policies.InvalidEncoding(["relative: 'object_pos' is no observation"]),
    policies.InvalidConfig("the training config", ["minutes: -1; must be positive"]),
    policies.InvalidGoal(["object_pos_base_m: not given; 3 number(s)"]),
    policies.NotEnoughMemory(["data: 120 MB", "activations: 41000 MB"], 41.5e9, 22.1e9),
    policies.CheckpointNotSaved(RUN, "No space left on device (os error 28)"),
    policies.NothingToSelect(RUN),
    policies.CannotMix(["'arm/stack' and 'quadrotor/hover': robot differ"]),
    policies.UnusableData(["object_pos_base_m: NaN or infinity in 3 of 25650 steps"]),
    policies.NotARun(RUN, "config.json"),
    policies.RunExists(RUN, ["policy: there 'diffusion', here 'consistency'"]),
    policies.TooFewWindows(12, 1, "at least 256"),
    policies.TrainingDiverged(1200, 1e-3),
    policies.ParityFailed(3e-3, 1e-4),
    policies.NotATeacher(RUN, "consistency"),
    policies.ChunkMismatch((1, 4, 7), 9, 7),
    policies.InvalidCommand(["element 3: NaN"]),
    policies.InvalidLimits("panda", ["low: 3 values for 8 commands"]),
    policies.InvalidBundle(BUNDLE, "policy.onnx", "its SHA-256 is not that of the manifest"),
    policies.EvaluationMismatch(["200 draws but 100 seeds"]),
    policies.CannotRank(["the real store holds no episode"]),
    policies.EvidenceMissing(BUNDLE, "evidence.json is empty"),
    policies.EvidenceRejected(BUNDLE, ["success 61 % is below 80 %"]),
    policies.InvalidCount(7, 5),
    real.MissingRos("rclpy", "no module of this name"),
    real.MissingMavlink("no module of this name"),
    real.InvalidCamera("wrist", "it has another form"),
    real.NoCamera("wrist", "/dev/video7", "it gives no picture", ["/dev/video0"]),
    real.SimulatedTime("/panda/guard"),
    real.NothingToRun(["recorder"]),
    real.InvalidParameter("speed", "it is 2.0", 0.01, 1.0, "Share of an arm's speed that passes."),
    real.InvalidNamespace("my robot"),
    real.InvalidAddress("udpin:10.0.0.1:14540", "it lies beyond this host, which needs --allow-network"),
    real.NoVehicle("udpin:127.0.0.1:14540", 1, 5.0, ["of system 7"]),
    real.UnfitForBridge("panda", "no observation is an odometry", "a topic of nav_msgs/Odometry"),
    real.InvalidMapping("mine.yaml", ["topics.joint_states: missing"]),
    real.InvalidMessage("joint_states", "5 positions", "7, one a joint"),
    real.RobotMismatch("panda", "crazyflie"),
    real.NotReady(["joint_pos_rad[3]: -141, learnt -2.9 to -1.2"]),
    real.StopPressed(),
    real.NoOperator(1.5, 1.0),
    real.NothingRuns([3, 7]),
    real.RobotTaken("fr3", 7),
    real.NoNode("guard", "panda", ["crazyflie/guard"]),
    real.ProcessEnded("guard", -9, Path("logs/guard.log"), "  the last line"),
    real.SecurityNotEnforced("Permissive"),
    real.TransitionRefused("policy", "configure", "  the bundle is damaged"),
    real.NoAnswer("twin/reset", 5.0, Path("logs")),
    real.OpenToNetwork(["udp 0.0.0.0:7400"]),
    real.NoFreeDomain(range(1, 102)),
    demo.StepFailed("ashore collect", 2, Path("out/demo/logs/collect.log"), "  the last line"),
    cli.MissingExtra("torch", "train"),
    cli.UnknownCommand("colect", ["collect", "train"]),
    cli.BadOptions("mine.yaml", ["batchsize: unknown. Did you mean 'batch_size'?"], ["batch_size", "seed"]),
    cli.NoStores(),
    cli.InvalidGoalText("object_pos"),
    cli.FixedInBundle(BUNDLE),
    cli.FileTrouble("out", "Permission denied"),
    cli.NotAPolicy(RUN),
)
