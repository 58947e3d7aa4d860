"""The parts of `deploy/demo`."""
