"""What every process that reads the bundle is told of it on its command line."""

import argparse
from pathlib import Path
from typing import NamedTuple


class BundleFile(NamedTuple):
    """A bundle's file, in the order in which `read_bundle` and `open_bundle` take it."""

    path: Path
    sha256: str | None = None
    """That the plan of the deployment found; None takes whichever is there."""


def add_bundle(parser: argparse.ArgumentParser, told: str) -> None:
    """Add the options that name the bundle.

    Args:
        parser: the process's own.
        told: what the bundle is to it.
    """
    parser.add_argument("--bundle", type=Path, required=True, help=f"the policy.ashore file {told}")
    parser.add_argument("--bundle-sha256", help="refuse a file of another SHA-256 than this, which the plan found")


def bundle_file(given: argparse.Namespace) -> BundleFile:
    """Take the bundle from a command line that was read."""
    return BundleFile(given.bundle, given.bundle_sha256)
