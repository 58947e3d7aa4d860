"""The parts of `deploy/sandbox`: private mail servers around mailauth. Standard library only."""
