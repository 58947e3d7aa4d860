"""The command `deploy/sandbox`.

Prints JSON on stdout, progress on stderr. Needs root, for Dovecot and Postfix change
users; touches neither /etc nor any other Dovecot or Postfix of the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from . import control, daemon, estate, nginx, postfix, probe, root, saslauthd, state, userdb
from .ground import LEFT_BEHIND, MARKER, SandboxError, clear, is_sandbox
from .up import READY_TIMEOUT_S, chosen_before, mailauth_targets, targets, tls_targets, up

SERVICES = ("mailauth", "dovecot", "postfix", "saslauthd", "exim", "nginx", "slapd", "sink")


def down(options: argparse.Namespace) -> None:
    directory = Path(options.dir).resolve()
    known = state.read(directory)
    if known is None:
        state.say(f"no sandbox is up in {directory}")
    else:
        control.end(Path(known["control"]), known["processes"])
        clear(directory, keep=LEFT_BEHIND)
        state.say(f"down; logs and messages are left in {directory}")
    if options.purge and is_sandbox(directory):
        clear(directory)
        (directory / MARKER).unlink()
        with contextlib.suppress(OSError):  # the caller keeps something else in it
            directory.rmdir()


def stop(options: argparse.Namespace) -> None:
    known = with_service(state.require(Path(options.dir).resolve()), options.service)
    request(known, command="stop", service=options.service, signal=options.signal)
    state.write(state.ground_of(known), known)


def start(options: argparse.Namespace) -> None:
    known = with_service(state.require(Path(options.dir).resolve()), options.service)
    ground = state.ground_of(known)
    request(known, command="start", service=options.service)

    def ended() -> str | None:
        running = request(known, command="status")["services"][options.service]["running"]
        return None if running else str(options.service)

    chosen = chosen_before(known)
    every = targets(ground, chosen)
    wanted = {
        "mailauth": mailauth_targets(ground, chosen),
        "sink": {"sink": every["sink"]},
        "slapd": estate.targets(chosen),
        "nginx": {name: target for name, target in tls_targets(chosen).items() if name in nginx.PORTS},
        "postfix": {"postfix": every["postfix_submission"]},
        "exim": {"exim": every.get("exim", probe.Target(ground.dir, b""))},
        "saslauthd": {"saslauthd": probe.Target(ground.at(saslauthd.SOCKET), b"")},
    }.get(options.service, {"dovecot": every["imap"], "auth": every["dovecot_auth_socket"]})
    try:
        probe.wait_for(wanted, ended, READY_TIMEOUT_S)
    except SandboxError:
        state.show_logs(ground)
        raise
    state.write(ground, known)


def restart(options: argparse.Namespace) -> None:
    stop(options)
    start(options)


def set_(options: argparse.Namespace) -> None:
    known = state.require(Path(options.dir).resolve())
    daemon.configure(state.ground_of(known), Path(known["program"]), options.settings)
    restart(options)


def status(options: argparse.Namespace) -> None:
    known = state.require(Path(options.dir).resolve())
    try:
        services = request(known, command="status")["services"]
    except SandboxError:
        services = {}
    print(json.dumps({"dir": known["dir"], "up": bool(services), "services": services}, indent=2))
    if not all(service["running"] for service in services.values()) or not services:
        sys.exit(1)


def root_(options: argparse.Namespace) -> None:
    directory = Path(options.dir).resolve()
    if options.check:
        sys.exit(0 if root.is_made(directory, options.suite) else 1)
    if root.make(directory, options.suite, options.mirror):
        state.say(f"made {options.suite} in {directory}: `up DIR --root {directory}`")
    else:
        state.say(f"{options.suite} is in {directory} already")


def with_service(known: dict[str, Any], service: str) -> dict[str, Any]:
    """Return a sandbox that has been found to have a service. Raises SandboxError."""
    there = request(known, command="status")["services"]
    if service not in there:
        names = ", ".join(there)
        raise SandboxError(f"there is no {service} in {known['dir']}, only {names} (`deploy/sandbox up --help`)")
    return known


def request(known: dict[str, Any], **words: str) -> dict[str, Any]:
    try:
        return control.ask(Path(known["control"]), **words)
    except OSError as error:
        message = f"the sandbox in {known['dir']} is not running any more: `down` it"
        raise SandboxError(message) from error


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="deploy/sandbox",
        description="A private Dovecot, Postfix and mailauth on free loopback ports.",
        epilog="See docs/sandbox.md.",
    )
    verbs = top.add_subparsers(required=True, metavar="COMMAND")

    def verb(name: str, action: Any, text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.add_argument("dir", metavar="DIR")
        sub.set_defaults(action=action, signal="SIGTERM", service="mailauth")
        return sub

    sub = verb("up", up, "start a sandbox in DIR and print where everything is, as JSON")
    sub.add_argument("--dovecot", choices=("checkpassword", "lua", "pam"), help="how Dovecot asks mailauth")
    sub.add_argument("--userdb", choices=userdb.KINDS, default="static", help="how Dovecot knows its users' mailboxes")
    sub.add_argument("--estate", choices=estate.KINDS, help="people of another system, new to mailauth")
    sub.add_argument("--postfix", choices=postfix.MODES, default="direct", help="whom Postfix asks")
    sub.add_argument("--exim", action="store_true", help="start an Exim as well, on mailauth itself")
    sub.add_argument("--tls", action="store_true", help="as in life: nothing in clear, and the portal behind nginx")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", type=setting,
                     help="mailauth's configuration, e.g. cutover.date=2030-01-01T00:00Z")  # fmt: skip
    sub.add_argument("--owner", type=int, metavar="PID", help="take it down when this process ends")
    sub.add_argument("--mailauth", metavar="PROGRAM", help="another mailauth than this checkout's")
    sub.add_argument("--root", metavar="DIR", help="take the servers from a Debian system there")
    sub = verb("down", down, "stop everything; nothing is left running")
    sub.add_argument("--purge", action="store_true", help="remove logs and messages too")
    sub = verb("root", root_, "make another Debian release in DIR, for `up --root DIR`")
    sub.add_argument("suite", nargs="?", choices=root.SUITES, default=root.SUITES[0])
    sub.add_argument("--check", action="store_true", help="only look: exit 1 if it is missing or out of date")
    sub.add_argument("--mirror", default=root.MIRROR, metavar="URL", help="where its packages come from")
    sub = verb("set", set_, "change mailauth's configuration and restart mailauth")
    sub.add_argument("settings", nargs="+", metavar="KEY=VALUE", type=setting)
    for name, action, text in (
        ("stop", stop, "stop one server"),
        ("start", start, "start one server again and wait until it is ready"),
        ("restart", restart, "stop and start one server"),
    ):
        sub = verb(name, action, text)
        sub.add_argument("service", choices=SERVICES)
        if name != "start":
            sub.add_argument("--signal", choices=("SIGTERM", "SIGKILL", "SIGINT"), default="SIGTERM")
    verb("status", status, "print what runs, as JSON; exit 1 unless all does")
    return top


def setting(word: str) -> str:
    key, equals, _ = word.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{word!r} is not KEY=VALUE")
    return word


def become_root() -> None:
    if os.geteuid() == 0:
        return
    sudo = shutil.which("sudo")
    if sudo is None:
        raise SandboxError("this needs root (Dovecot and Postfix change users), and there is no sudo")
    os.execv(sudo, [sudo, *sys.orig_argv])


def interrupted(number: int, _frame: object) -> None:
    raise SandboxError(f"interrupted by {signal.Signals(number).name}")


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    try:
        become_root()
        os.umask(0o022)
        signal.signal(signal.SIGTERM, interrupted)
        signal.signal(signal.SIGINT, interrupted)
        options.action(options)
    except SandboxError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    return 0
