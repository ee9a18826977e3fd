"""A Panda-class seven-axis arm with a parallel gripper: MJCF and card."""
