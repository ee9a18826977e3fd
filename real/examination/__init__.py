"""Looking at a robot's mapping before anything moves: against a bundle, and against the topics that are there."""
