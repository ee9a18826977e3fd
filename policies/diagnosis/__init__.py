"""Why a run that trained well fails when it is run: figures of its fit, its data and its own episodes."""
