"""Arms: from a small file and a model to a robot, examined, photographed and put to work on a table."""
