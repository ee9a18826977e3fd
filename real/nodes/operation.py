"""How an operator is heard: a stop that stays pressed, a sign of life, and marks for the recorder."""

STOP_TOPIC, STOP_TYPE = "stop", "std_msgs/Bool"
"""True while the stop is pressed; the last word reaches late comers too."""
ALIVE_TOPIC, ALIVE_TYPE = "operator/alive", "std_msgs/Empty"
"""Several times a second while an operator is there."""
ALIVE_HZ = 10.0
MARKS = ("begin", "success", "failure", "end")
"""An episode begins; it ends, with a verdict or without one. Services recorder/begin and so on: each is answered."""
