"""What others do the same work with: scripts for a Python of their own, as they do not live beside Ashore."""
