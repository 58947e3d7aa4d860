"""The rules. Nothing here reads a clock, a file, a socket, the database or a source of randomness."""
