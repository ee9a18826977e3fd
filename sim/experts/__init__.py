"""Programs that solve tasks from the true state: the source of demonstrations."""
