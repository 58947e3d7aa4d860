"""What a process imports: no more than it needs. The rest is time at each start, memory, and attack surface."""

import json
import subprocess
import sys

import pytest

PORTAL = {"starlette", "uvicorn", "wtforms", "multipart", "segno", "h11"}
MAIL = {"jinja2", "aiosmtplib"}
DATABASE = {"sqlalchemy", "alembic"}
CONFIGURATION = {"pydantic", "tomlkit"}


def imported(code: str) -> set[str]:
    """Return the top-level modules that are there after some code, in a process of its own."""
    command = (
        f"{code}\nimport json, sys; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_part_that_answers_logins_imports_neither_portal_nor_mail() -> None:
    there = imported("import mailauth.wiring, mailauth.edges.server.service, mailauth.edges.cli.serve")
    assert "sqlalchemy" in there, "it looks where modules are"
    assert there & (PORTAL | MAIL | {"alembic"}) == set()


@pytest.mark.parametrize("words", ["--help", "--version", "db --help", "config --help", "init --help", "serve --help"])
def test_help_imports_none_of_what_commands_work_with(words: str) -> None:
    run = f"from mailauth.edges.cli.main import cli\ntry: cli({words.split()!r})\nexcept SystemExit: pass"
    assert imported(run) & (PORTAL | MAIL | DATABASE | CONFIGURATION) == set()


def test_command_without_a_database_imports_none() -> None:
    run = "from mailauth.edges.cli.main import cli\ntry: cli(['config', 'describe'])\nexcept SystemExit: pass"
    assert imported(run) & (PORTAL | MAIL | DATABASE) == set()
