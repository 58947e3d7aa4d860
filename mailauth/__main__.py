"""`python -m mailauth` is the command `mailauth`."""

from mailauth.edges.cli.main import main

main()
