"""`ashore doctor run`: why a run that trained well fails, as one page."""
