"""Faults of policies, bundles and execution."""
