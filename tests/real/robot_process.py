"""A process that stands in for a robot's driver on real topics: one that is sound, and one with a fault on each topic.

Usage: python robot_process.py good|broken NAMESPACE
"""

import itertools
import math
import sys
import time

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String

RATE_HZ = 50.0


def joints(names, positions, frame="", stamp=None):
    message = JointState(name=list(names), position=[float(p) for p in positions], velocity=[0.0] * len(positions))
    message.header.frame_id = frame
    if stamp is not None:
        message.header.stamp = stamp
    return message


def pose(frame, stamp, x=0.4, w=1.0):
    message = PoseStamped()
    message.header.frame_id, message.header.stamp = frame, stamp
    message.pose.position.x, message.pose.orientation.w = x, w
    return message


def good(node):
    """Joints in another order with one beside them, a pose, and a taker of commands."""
    states, goal = node.create_publisher(JointState, "joint_states", 1), node.create_publisher(PoseStamped, "goal", 1)
    node.create_subscription(Float64MultiArray, "targets", lambda message: None, 1)

    def send(tick, now):
        states.publish(joints(["b", "gripper", "a"], [0.1 * math.sin(tick), 0.02, -0.3], stamp=now.to_msg()))
        goal.publish(pose("base", now.to_msg()))

    return send


def broken(node):
    """One fault a topic."""
    kinds = {
        "degrees": JointState,
        "missing": JointState,
        "nan": JointState,
        "twice": JointState,
        "frame": PoseStamped,
        "norm": PoseStamped,
        "millimetres": PoseStamped,
        "future": PoseStamped,
        "backwards": PoseStamped,
        "unstamped": PoseStamped,
        "typed": String,
        "slow": JointState,
    }
    publish = {name: node.create_publisher(kind, name, 10).publish for name, kind in kinds.items()}
    commanders = [node.create_publisher(Float64MultiArray, "contested", 1) for _ in range(2)]
    node.create_subscription(Float64MultiArray, "contested", lambda message: None, 1)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(Float64MultiArray, "latched", lambda message: None, latched)
    second = rclpy.duration.Duration(seconds=1.0)

    def send(tick, now):
        stamp = now.to_msg()
        publish["degrees"](joints("ab", [90.0, 45.0], stamp=stamp))
        publish["missing"](joints(["a", "elbow"], [0.0, 0.0], stamp=stamp))
        publish["nan"](joints("ab", [0.0, math.nan], stamp=stamp))
        publish["twice"](joints("aab", [0.0, 0.0, 0.0], stamp=stamp))
        publish["frame"](pose("camera", stamp))
        publish["norm"](pose("base", stamp, w=2.0))
        publish["millimetres"](pose("base", stamp, x=400.0))
        publish["future"](pose("base", (now + second).to_msg()))
        publish["backwards"](pose("base", (now - second).to_msg() if tick % 2 else stamp))
        publish["unstamped"](pose("base", rclpy.time.Time().to_msg()))
        publish["typed"](String(data="no joints"))
        if tick % 10 == 0:
            publish["slow"](joints("ab", [0.0, 0.0], stamp=stamp))
        for commander in commanders:
            commander.publish(Float64MultiArray(data=[0.0, 0.0]))

    return send


def main(kind, namespace):
    rclpy.init()
    node = rclpy.create_node("driver", namespace=namespace)
    send = {"good": good, "broken": broken}[kind](node)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for tick in itertools.count():
        send(tick, node.get_clock().now())
        rclpy.spin_once(node, timeout_sec=0)
        time.sleep(1.0 / RATE_HZ)


if __name__ == "__main__":
    main(*sys.argv[1:])
