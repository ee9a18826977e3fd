"""The command line: one module a command, light to start, and the only place that prints."""
