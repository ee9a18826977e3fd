"""The PyBullet twin: a task's own scene in another engine, worsened by a reality profile, where a robot will stand."""
