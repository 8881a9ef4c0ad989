"""Real servers on this machine, without Docker and without root: for the demo, the tests and the benchmarks."""
