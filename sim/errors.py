"""Faults of simulation."""
