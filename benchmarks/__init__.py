"""Figures of Ashore beside goals and peers: `python -m benchmarks NAME [--quick]`."""
