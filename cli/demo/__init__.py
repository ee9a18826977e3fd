"""The demo: one robot's way from demonstrations to a twin over ROS 2, and the report about it."""
