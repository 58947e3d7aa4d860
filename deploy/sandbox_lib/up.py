"""`deploy/sandbox up`: write the configurations, start the servers, wait until all are ready.

A failure on the way stops what was started, shows the logs and leaves nothing running,
even if this process is killed: the supervisor notices.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import (
    certificates,
    control,
    daemon,
    dovecot,
    estate,
    exim,
    mounts,
    nginx,
    pam,
    ports,
    postfix,
    probe,
    saslauthd,
    state,
    userdb,
)
from .ground import LEFT_BEHIND, REPOSITORY, Ground, SandboxError, System, clear, prepare

READY_TIMEOUT_S = 60.0  # a loaded machine starts Python in seconds
PORT_ATTEMPTS = 5
PORT_NAMES = (*dovecot.PORTS, *postfix.PORTS, "sink")
TLS_PORT_NAMES = (*dovecot.TLS_PORTS, *nginx.PORTS)
GRACE_S = 5.0
MAILAUTH_GRACE_S = 12.0  # it finishes the attempts that it has begun

Targets = probe.Targets


def up(options: argparse.Namespace) -> None:
    began = time.monotonic()
    directory = Path(options.dir).resolve()
    discard_stale(directory)
    system = System(Path(options.root).resolve() if options.root else None)
    versions = {"dovecot": dovecot.version(system), "postfix": postfix.version(system)}
    if options.exim:
        versions["exim"] = exim.version(system)
    door = dovecot.choose_door(options.dovecot, versions["dovecot"])
    program = daemon.find(Path(options.mailauth) if options.mailauth else None)
    if options.tls:
        nginx.check()
    ground = prepare(directory, system)
    state.say(
        f"Dovecot {versions['dovecot']} ({door}), Postfix {versions['postfix']} ({options.postfix}) in {ground.base}"
    )
    try:
        if door == "checkpassword":
            dovecot.install_helper(ground, REPOSITORY / "pam_module/build/mailauth-checkpassword")
        if door == "pam" or options.postfix == "saslauthd":
            pam.install(ground)
        certificates.make(ground, daemon.portal_name(options.set))
        chosen, lifeline = start_all(ground, options, program, versions["dovecot"], door)
        facts = describe(ground, options, program, chosen)
        facts |= {"dovecot": door, "postfix": options.postfix, "versions": versions}
        state.write(ground, facts)
        control.release(lifeline)
    except SandboxError:
        state.show_logs(ground)
        clear(directory, keep=LEFT_BEHIND)
        raise
    state.say(f"up in {time.monotonic() - began:.1f} s")
    print(json.dumps(facts, indent=2))


def discard_stale(directory: Path) -> None:
    """End what an earlier sandbox left in this directory; refuse if it is up."""
    known = state.read(directory)
    if known is None:
        return
    if control.alive(Path(known["control"])):
        raise SandboxError(f"a sandbox is up in {directory}: `deploy/sandbox down` it first")
    state.say(f"clearing what an earlier sandbox left in {directory}")
    control.end(Path(known["control"]), known["processes"])


def start_all(
    ground: Ground, options: argparse.Namespace, program: Path, dovecot_version: str, door: str
) -> tuple[dict[str, int], int]:
    """Start everything; when another process took a port meanwhile, choose again."""
    for attempt in range(1, PORT_ATTEMPTS + 1):
        chosen = ports.choose(port_names(options))
        dovecot.write(ground, dovecot_version, door, chosen, options.postfix, options.userdb)
        postfix.write(ground, options.postfix, chosen, tls=options.tls)
        postfix.prepare_queue(ground)
        if options.exim:
            exim.write(ground, chosen, tls=options.tls)
        if options.tls:
            nginx.write(ground, daemon.portal_name(options.set), chosen)
        estate.write(ground, options.estate)
        wanted = [*estate.settings(ground, options.estate, chosen), *options.set]
        daemon.initialise(ground, program, wanted, options.exim, chosen)
        supervisor, lifeline = control.launch(ground, plan(ground, program, options, door, chosen), options.owner)
        try:
            # First those whom Postfix asks: an smtpd that finds nobody there gives up.
            for group in (auth_targets(ground, chosen), targets(ground, chosen)):
                probe.wait_for(group, ended(ground), READY_TIMEOUT_S)
        except BaseException as error:
            os.close(lifeline)
            supervisor.wait()
            if isinstance(error, SandboxError) and attempt < PORT_ATTEMPTS:
                if port_taken(ground, chosen):
                    state.say("a port was taken meanwhile: choosing others")
                    forget_logs(ground)
                    continue
                # Postfix says nothing of a port that it cannot have: its own log begins later.
                if isinstance(error, probe.EndedAtOnce) and attempt == 1:
                    state.say(f"{error}: once more, on other ports")
                    forget_logs(ground)
                    continue
            raise
        supervisor.returncode = 0  # it outlives us: nothing to warn about
        return chosen, lifeline
    raise AssertionError("the last attempt returns or raises")


def plan(
    ground: Ground, program: Path, options: argparse.Namespace, door: str, chosen: dict[str, int]
) -> list[dict[str, Any]]:
    """What the supervisor runs, in this order."""
    sink = str(Path(__file__).with_name("sink.py"))
    dovecot_conf = ground.inner("/etc/dovecot/dovecot.conf")
    system = ground.system
    commands: dict[str, list[str]] = {
        "sink": [sys.executable, sink, str(ground.mail_out), ports.HOST, str(chosen["sink"])],
        "mailauth": [str(program), "--config", str(ground.at(daemon.CONFIG)), "serve"],
        "dovecot": mounts.behind(
            ground, (pam.SERVICES,) if door == "pam" else (), system.argv("dovecot", "-F", "-c", dovecot_conf)
        ),
        "postfix": postfix.command(ground),
    }
    if options.postfix == "saslauthd":
        commands["saslauthd"] = saslauthd.command(ground)
    if options.exim:
        commands["exim"] = exim.command(ground)
    if options.tls:
        commands["nginx"] = nginx.command(ground)
    if options.estate == "ldap":
        commands["slapd"] = estate.command(ground, chosen)
    # These log to files of their own; here goes what they print.
    logs = {"dovecot": "dovecot-output", "postfix": "postfix-output", "exim": "exim-output", "nginx": "nginx-output"}
    return [
        {
            "name": name,
            "argv": argv,
            "log": str(ground.log(logs.get(name, name))),
            "grace_s": MAILAUTH_GRACE_S if name == "mailauth" else GRACE_S,
        }
        for name, argv in commands.items()
    ]


def targets(ground: Ground, chosen: dict[str, int]) -> Targets:
    return auth_targets(ground, chosen) | probe.port_targets(chosen) | tls_targets(chosen) | estate.targets(chosen)


def auth_targets(ground: Ground, chosen: dict[str, int]) -> Targets:
    dovecot_socket = probe.auth_target(ground.at("/run/dovecot/auth-sandbox"))
    return mailauth_targets(ground, chosen) | {"dovecot_auth_socket": dovecot_socket}


def mailauth_targets(ground: Ground, chosen: dict[str, int]) -> Targets:
    is_by_port = daemon.PORTAL_PORT in chosen
    portal = (ports.HOST, chosen[daemon.PORTAL_PORT]) if is_by_port else ground.at(nginx.PORTAL_SOCKET)
    return {
        "portal": probe.web_target(portal),
        "auth_socket": probe.auth_target(ground.at(daemon.DOVECOT_SOCKET)),
        "postfix_auth_socket": probe.auth_target(ground.at(daemon.POSTFIX_SOCKET)),
    }


def tls_targets(chosen: dict[str, int]) -> Targets:
    """What says nothing before its client does."""
    return {name: probe.Target((ports.HOST, chosen[name]), b"") for name in TLS_PORT_NAMES if name in chosen}


def ended(ground: Ground) -> Callable[[], str | None]:
    """A function that names the servers that have ended, or None."""

    def check() -> str | None:
        try:
            services = control.ask(ground.control, command="status")["services"]
        except OSError:
            return "the supervisor"
        return ", ".join(name for name, s in services.items() if not s["running"]) or None

    return check


def port_taken(ground: Ground, chosen: dict[str, int]) -> bool:
    """Tell whether a server could not have its port, now that all of ours have ended."""
    if not all(ports.is_free(port) for port in chosen.values()):
        return True
    logs = [path for path in state.log_files(ground).values() if path.exists()]
    return any("ddress already in use" in path.read_text(errors="replace") for path in logs)


def forget_logs(ground: Ground) -> None:
    for name, path in state.log_files(ground).items():
        if name != "setup":
            path.unlink(missing_ok=True)


def describe(ground: Ground, options: argparse.Namespace, program: Path, chosen: dict[str, int]) -> dict[str, Any]:
    """Where everything is: the JSON object that `up` prints."""
    system = ground.system
    config = ground.at(daemon.CONFIG)
    dovecot_conf = ground.at("/etc/dovecot/dovecot.conf")
    mailauth = [str(program), "--config", str(config)]
    doveadm = system.argv("doveadm", "-c", system.inner(dovecot_conf))
    return {
        "dir": str(ground.dir),
        "config": str(config),
        "mailauth": str(daemon.write_wrapper(ground, "mailauth", mailauth)),
        "doveadm": str(daemon.write_wrapper(ground, "doveadm", doveadm)),
        "auth_socket": str(ground.at(daemon.DOVECOT_SOCKET)),
        "postfix_auth_socket": str(ground.at(daemon.POSTFIX_SOCKET)),
        "dovecot_auth_socket": str(ground.at("/run/dovecot/auth-sandbox")),
        "users_file": None if options.userdb == "static" else str(ground.at(userdb.USERS)),
        "estate": estate.described(ground, options.estate),
        **dict.fromkeys((exim.PORT, estate.PORT, *TLS_PORT_NAMES)),
        **{name: [ports.HOST, port] for name, port in chosen.items() if name != daemon.PORTAL_PORT},
        "portal": daemon.portal_url(chosen, daemon.portal_name(options.set)),
        "ca": str(ground.at(certificates.AUTHORITY)),
        "tls": options.tls,
        "mail_out": str(ground.mail_out),
        "dovecot_conf": str(dovecot_conf),
        "postfix_conf": str(ground.at("/etc/postfix")),
        "logs": str(ground.logs),
        "log_files": {name: str(path) for name, path in state.log_files(ground).items()},
        "root": str(system.root) if system.root else None,
        "ground": str(ground.base),
        "program": str(program),
        "control": str(ground.control),
    }


def chosen_before(facts: dict[str, Any]) -> dict[str, int]:
    """The ports of a sandbox that is up, from what `describe` said of it."""
    names = (*PORT_NAMES, exim.PORT, estate.PORT, *TLS_PORT_NAMES)
    found = {name: facts[name][1] for name in names if facts[name]}
    return found if facts["tls"] else found | {daemon.PORTAL_PORT: urlsplit(facts["portal"]).port}


def port_names(options: argparse.Namespace) -> tuple[str, ...]:
    """The ports that a sandbox needs."""
    others = TLS_PORT_NAMES if options.tls else (daemon.PORTAL_PORT,)
    return (*PORT_NAMES, *others, *((exim.PORT,) if options.exim else ()), *estate.port_names(options.estate))
