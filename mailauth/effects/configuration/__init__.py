"""The configuration file: what it may say, reading it, writing a first one."""
