"""What reaches outside the process: database, keys, password hashes, configuration files."""
