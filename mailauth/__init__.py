"""The second factor for mail servers.

The packages below this one are layers; imports go down only:

    edges       they talk to people and sockets: the command line, the authentication server
    wiring      configuration -> every object; the only place that constructs
    usecases    load, decide, commit: a login, an enrolment, an account
    effects     database, keys, password hashes, configuration files
    core        the rules: no clock, no I/O, no randomness
    vocabulary  the words that all of them share
"""

__version__ = "0.1.0"
