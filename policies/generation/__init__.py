"""How chunks come out of noise: what a network learns (processes) and how it is asked (samplers)."""
