"""Aircraft frames against ROS frames: NED and FRD outside, ENU and FLU inside; nothing else in Ashore knows the former.

    NED   x north, y east, z down       ENU   x east, y north, z up
    FRD   x forward, y right, z down    FLU   x forward, y left, z up

Each conversion is its own inverse. Source: REP-103 and REP-147; mavros/src/lib/ftf_frame_conversions.cpp does the same.
"""

import math
from collections.abc import Sequence

HALF = math.sqrt(0.5)
Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


def swap_ned_enu(vector: Sequence[float]) -> Vector:
    """Turn a vector in NED into ENU, or one in ENU into NED."""
    x, y, z = vector
    return y, x, -z


def swap_frd_flu(vector: Sequence[float]) -> Vector:
    """Turn a vector in FRD into FLU, or one in FLU into FRD."""
    x, y, z = vector
    return x, -y, -z


def swap_attitude(quat_wxyz: Sequence[float]) -> Quaternion:
    """Turn the attitude of FRD in NED into that of FLU in ENU, or the other way.

    The product (0, h, h, 0) q (0, 1, 0, 0) with h = sqrt(1/2), its sign turned: NED to ENU, then FLU to FRD.
    """
    w, x, y, z = quat_wxyz
    return HALF * (w + z), HALF * (x + y), HALF * (x - y), HALF * (w - z)
