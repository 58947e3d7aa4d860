"""Estates that providers have, small: tables as panels make them, files, directories, and servers for them.

Holds no tests.
"""
