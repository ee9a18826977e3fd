"""Denoiser networks behind one face; the MLP is the one for CPUs."""
