"""Benchmarks: what ferryman costs beside its peers and beside the limits of the systems around it. See README.md."""
