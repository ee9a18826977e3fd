"""LeRobot data sets: version 2.1 and 3.0 read an episode at a time, and 3.0 written.

Format: meta/info.json names the features and says where files lie, data/**.parquet holds one row a step, pictures as
encoded frames in it or as videos/**.mp4. In 2.1 each episode is a file of its own; in 3.0 a file holds several, and
meta/episodes/**.parquet tells which rows and which seconds of a video are whose.
Source: Hugging Face, LeRobot documentation, "LeRobotDataset v3.0", 2025.
"""

from ashore.datasets.formats.lerobot.reading import read
from ashore.datasets.formats.lerobot.writing import write

__all__ = ["read", "write"]
