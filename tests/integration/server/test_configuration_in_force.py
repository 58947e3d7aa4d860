"""RUN1: a running part keeps what it read when it started; who looks is told that the file says otherwise by now."""

import os
import pty
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from mailauth.effects.configuration import digest, loading
from mailauth.usecases.presence import UNSEEN_FOR, Presence
from tests.integration.cli.conftest import CommandLine
from tests.integration.server.conftest import SiteMaker
from tests.integration.serving import PATIENCE_S, Site, secret_of, until
from tests.integration.talking import granted
from tests.transactions import reading, writing
from tests.world import FakeClock, World


def test_sighup_is_a_line_that_says_what_to_do_and_ends_nothing(make_site: SiteMaker) -> None:
    site = make_site()
    server = site.serve()
    alice = site.person()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("SIGHUP is ignored: mailauth keeps the configuration that it started with; restart it")
    with site.talk() as talk:
        assert granted(talk.login(alice.name, secret_of(alice)))
    assert server.stop() == 0


def test_sighup_while_the_server_starts_ends_nothing(make_site: SiteMaker) -> None:
    """Whoever reloads all services at once also meets those that are about to start."""
    site = make_site()
    text, config = site.config.read_text(), site.directory / "slow.toml"
    os.mkfifo(config)
    # Whoever runs these tests may ignore the signal (nohup), and so would what they start.
    server = site.serve(config=config, launcher=("env", "--default-signal=HUP"), wait=False)
    with config.open("w") as slow:  # opened at both ends: it waits for what the file says
        server.process.send_signal(signal.SIGHUP)
        config.unlink()
        config.write_text(text)  # for when it is read again
        slow.write(text)
    server.wait_for("listening")
    assert server.stop() == 0


def test_server_at_a_terminal_ends_with_it(make_site: SiteMaker) -> None:
    """It would go on unseen, with the socket in its hands."""
    site = make_site()
    ours, theirs = pty.openpty()
    log = site.directory / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            # Whoever runs these tests may ignore the signal (nohup), and so would what they start.
            [
                "env",
                "--default-signal=HUP",
                sys.executable,
                "-m",
                "mailauth",
                "--config",
                site.config,
                "serve",
                "auth",
            ],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    os.close(theirs)
    try:
        until(lambda: "listening" in log.read_text(), "the socket")
        process.send_signal(signal.SIGHUP)
        until(lambda: process.poll() is not None, "its end", 3 * PATIENCE_S)
        assert process.returncode == 0, log.read_text()
        assert "stopped" in log.read_text()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_part_that_runs_with_another_configuration_is_named_until_it_is_restarted(make_site: SiteMaker) -> None:
    site = make_site()
    mailauth = CommandLine(site.config, None)  # type: ignore[arg-type]
    person = site.person()
    server = site.serve()
    started_with = digest.of(loading.load(site.config))
    assert f"digest={started_with}" in server.log

    def named() -> list[str]:
        found = mailauth.json("config", "check")["warnings"]
        explained = mailauth.json("explain", person.name)["sentences"]
        assert [each["problem"] for each in found if each["place"] == "running"] == [
            s for s in explained if "runs" in s
        ]
        return [each["problem"] for each in found if each["place"] == "running"]

    until(lambda: rows(site) == 1, "the server to be noted")
    assert named() == []
    mailauth.run("config", "set", "provider.name=Another")
    [sentence] = named()
    assert sentence.startswith(f"auth (process {server.pid} on ")
    assert f"runs with another configuration ({started_with}) than {site.config} has now" in sentence
    assert "restart it" in sentence
    assert "warning: running: auth" in mailauth.run("config", "check").stderr
    assert server.stop() == 0
    assert named() == []
    assert rows(site) == 0
    killed = site.serve()
    until(lambda: rows(site) == 1, "the server to be noted")
    killed.kill()
    mailauth.run("config", "set", "provider.name=Yet another")
    assert named() == [], "it does not run any more"
    site.serve()
    until(lambda: rows(site) == 1 and named() == [], "the new one in place of the killed one")


def rows(site: Site) -> int:
    with reading(site.installation.database) as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM running_part").scalar_one())


def test_part_of_another_host_is_gone_when_it_was_not_seen_for_a_while(world: World, tmp_path: Path) -> None:
    clock = FakeClock(world.clock.now)
    database, source = world.installation.database, tmp_path / "mailauth.toml"
    other, ours = (Presence(database, "0.1.0", name, clock) for name in ("theirs", "ours"))
    other._host = "another"
    other.enter(["portal", "worker"], source)
    assert [sentence.split()[0] for sentence in ours.warnings(source)] == ["portal", "worker"]
    assert ours.warnings(tmp_path / "other.toml") == (), "another file may well say something else"
    clock.now += UNSEEN_FOR - timedelta(seconds=1)
    assert len(ours.warnings(source)) == 2
    other.confirm()
    clock.now += UNSEEN_FOR - timedelta(seconds=1)
    assert len(ours.warnings(source)) == 2
    clock.now += timedelta(seconds=2)
    assert ours.warnings(source) == ()
    with writing(database) as connection:
        connection.exec_driver_sql("DELETE FROM running_part")
    other.confirm()
    assert len(ours.warnings(source)) == 2, "after a restore it is noted again"
    other.leave()
    assert ours.warnings(source) == ()


def test_part_of_another_version_is_named(world: World, tmp_path: Path) -> None:
    database, clock = world.installation.database, world.clock
    Presence(database, "0.1.0", "same", clock).enter(["auth"], tmp_path / "mailauth.toml")
    [sentence] = Presence(database, "0.2.0", "same", clock).warnings(tmp_path / "mailauth.toml")
    assert sentence.endswith("runs mailauth 0.1.0, and this is 0.2.0: restart it.")


def test_digest_changes_with_every_setting_and_says_nothing_of_a_password(world: World) -> None:
    text = world.config_path.read_text()

    def of(*settings: str) -> str:
        return digest.of(loading.parse(loading.with_settings(text, settings, "test"), "test"))

    assert of() == digest.of(world.installation.configuration)
    changes = [
        "log.level=debug",
        "cutover.date=2025-05-05T00:01 Europe/Brussels",
        "limits.code_burst=49",
        "mail.port=26",
    ]
    assert len({of(), *(of(change) for change in changes)}) == len(changes) + 1
    configuration = world.installation.configuration
    digests = set()
    for password in ("one", "two"):
        url = f"postgresql://mailauth:{password}@db.example/mailauth"
        section = configuration.database.model_copy(update={"url": url})
        digests.add(digest.of(configuration.model_copy(update={"database": section})))
    assert len(digests) == 1
