"""The commands of docs/estates.md, as they stand there, on a small estate."""

import re
import shlex
import sqlite3
from collections.abc import Callable
from pathlib import Path

from tests.estates.factors import APP_PASSWORDS, PANELS
from tests.estates.places import sqlite
from tests.integration.cli.conftest import CommandLine

GUIDE = Path(__file__).parents[3] / "docs/estates.md"


def commands() -> list[list[str]]:
    """Return the commands of mailauth in the guide, in order."""
    blocks = re.findall(r"```console\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    found = [shlex.split(line.removeprefix("# "), comments=True) for block in blocks for line in block.splitlines()]
    return [words[1:] for words in found if words and words[0] == "mailauth"]


def elsewhere(directory: Path) -> dict[str, str]:
    """Make what the guide imports from; return where that is, by the guide's own names."""
    (directory / "homes").mkdir()
    (directory / "users.oath").write_text(f"HOTP/T30 anna@example.org - {'ab' * 20}\n")
    (directory / "panel.url").write_text(f"sqlite:///{directory}/mailcow.sqlite\n")
    with sqlite3.connect(directory / "mailcow.sqlite") as tables:
        for statement in (*PANELS["mailcow"][:1], *APP_PASSWORDS["mailcow"][:1]):
            tables.execute(statement)
    tables.close()
    return {
        "/home": f"{directory}/homes",
        "/etc/users.oath": f"{directory}/users.oath",
        "/etc/mailauth/panel.url": f"{directory}/panel.url",
    }


def test_commands_of_the_guide_do_what_it_says(make_mailauth: Callable[..., CommandLine], tmp_path: Path) -> None:
    place = sqlite(tmp_path)
    place.put("anna@example.org", "correct horse")
    sources = f'sources=[{{kind="own",on_unknown="next"}},{{name="panel",{place.section}}}]'
    mailauth = make_mailauth(sources, "cutover.date=2099-01-01T00:00Z")
    there = elsewhere(tmp_path)
    said = {
        " ".join(words): mailauth.run(*(there.get(word, word) for word in words), stdin="correct horse")
        for words in commands()
    }
    assert "authenticators: 1 would be taken" in said["import pam-oath /etc/users.oath --dry-run"].stdout
    assert "server.refusal_floor_ms" in said["config check"].stderr
    assert "1 would be added" in said["directory sync --dry-run"].stdout
    assert "1 added" in said["directory sync"].stdout
    assert "example.org" in said["account list --count"].stdout
    assert "granted: before-cutover" in said["check anna@example.org"].stdout
    (setting,) = re.findall(r"`mailauth (config set '[^`]*')`", GUIDE.read_text())
    mailauth.run(*shlex.split(setting))
    for word in ("directory status", "account move ACCOUNT SOURCE", "account disable"):
        assert f"`mailauth {word}" in GUIDE.read_text()
        assert "Usage:" in mailauth.run(*word.split()[:2], "--help").stdout
