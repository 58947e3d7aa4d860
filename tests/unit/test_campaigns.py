"""The list of campaigns: it can be had at once, and everything in it is there to be run."""

import subprocess
import sys
from pathlib import Path

from tests import campaigns
from tests.cases import case

TOP = Path(__file__).parents[2]


def test_each_command_of_a_campaign_is_there() -> None:
    for name, campaign in campaigns.CAMPAIGNS.items():
        for command in (*campaign.commands, *campaign.short):
            with case(name, command):
                modules = [command[at + 1] for at, word in enumerate(command) if word == "-m"]
                ours = [TOP / module.replace(".", "/") for module in modules if module.startswith("tests.")]
                assert all((path / "__main__.py").exists() or path.with_suffix(".py").exists() for path in ours)
                files = [word for word in command if word.startswith("tests/")]
                assert all((TOP / word).exists() for word in files)
                assert ours or files or command[0] != sys.executable


def test_without_a_name_they_are_listed_and_an_unknown_one_runs_nothing() -> None:
    command = [sys.executable, "-S", "-m", "tests.campaigns"]
    listed = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout
    assert all(f"\n  {name} " in listed for name in campaigns.CAMPAIGNS)
    unknown = subprocess.run([*command, "fuzz", "nothing"], cwd=TOP, capture_output=True, text=True, check=False)
    assert (unknown.returncode, unknown.stdout) == (2, listed)
    assert "nothing" in unknown.stderr
