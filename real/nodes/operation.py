"""How an operator is heard: a stop that stays pressed, and a sign of life."""

STOP_TOPIC, STOP_TYPE = "stop", "std_msgs/Bool"
"""True while the stop is pressed; the last word reaches late comers too."""
ALIVE_TOPIC, ALIVE_TYPE = "operator/alive", "std_msgs/Empty"
"""Several times a second while an operator is there."""
ALIVE_HZ = 10.0
