"""From chunks to safe commands, in numpy alone: the same code in simulation and on the robot."""
