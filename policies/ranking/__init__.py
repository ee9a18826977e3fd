"""Which policy to deploy, judged before any of them runs on the robot."""
