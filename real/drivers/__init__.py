"""Vehicles that speak something else than ROS 2; each is met by a node in real/nodes/."""
