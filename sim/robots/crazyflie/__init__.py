"""A Crazyflie-class quadrotor: MJCF, card and rate loop."""
