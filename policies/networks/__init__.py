"""Networks behind one face, Denoiser; the MLP is the one for CPUs, the UNet the one for GPUs."""
