"""Faults of the robot side."""
