"""Both READMEs: what they name exists, they say the same, and their figures are of the form that the demo prints."""

import re
import subprocess

import pytest
from source_tree import REPOSITORY

from simulator.reconciliation import Line

READMES = ("README.md", "README.zh-CN.md")


def text(name):
    return (REPOSITORY / name).read_text("utf-8")


def blocks(name):
    """Contents of the code blocks."""
    return re.findall(r"^```\n(.*?)^```", text(name), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", READMES)
def test_every_link_and_picture_leads_somewhere(name):
    targets = re.findall(r"\]\(([^)]+)\)", text(name))
    assert {one for one in targets if one.endswith(".png")}
    assert [one for one in targets if not (REPOSITORY / one).is_file()] == []


@pytest.mark.parametrize("name", READMES)
def test_every_command_exists(name):
    commands = [line.partition("#")[0].split() for line in blocks(name)[0].splitlines()]
    assert ["make", "demo"] in commands
    assert ["make", "test"] in commands
    for command in commands:
        plan = subprocess.run([*command, "--dry-run"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        for option in command[2:]:
            assert {"FOR=30": "--for 30", "CHAOS=1": "--chaos"}[option] in plan.stdout


def test_every_folder_of_the_project_is_explained():
    for name in READMES:
        for folder in ("protocol", "firmware", "gateway", "provisioning", "simulator", "tests"):
            assert f"`{folder}/`" in text(name), (name, folder)


def test_both_languages_show_the_same_commands_and_figures():
    def plain(name):
        return [[line.partition("#")[0].strip() for line in block.splitlines()] for block in blocks(name)]

    assert plain("README.md") == plain("README.zh-CN.md")
    chapters = [len(re.findall(r"^## ", text(name), re.MULTILINE)) for name in READMES]
    assert chapters[0] == chapters[1]


def test_the_closing_lines_are_what_the_demo_prints():
    shown = blocks("README.md")[1].splitlines()
    lines = [line for line in shown if "pressed=" in line]
    form = re.sub(r"\d+", "N", str(Line()))
    assert {re.sub(r"\d+", "N", line.partition(": ")[2] or line) for line in lines} == {form}
    numbers = [[int(one) for one in re.findall(r"=(\d+)", line)] for line in lines]
    assert [sum(column) for column in zip(*numbers[:-1], strict=True)] == numbers[-1]
