"""The PyBullet twin: the task's own scene in another engine, made worse by a reality profile, where a robot will stand."""
