"""Launchers that run sweeps on this machine, on Slurm and in the cloud."""
