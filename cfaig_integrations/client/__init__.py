"""The only I/O of the package: httpx lives here, and nowhere else."""
