"""Tidiness as tests: sizes, names, docstrings, and what must not stand in the tree."""

import ast
import os
import re
import tomllib
from pathlib import Path

import pytest
from source_tree import PACKAGES, REPOSITORY, Module, files, modules

LINE_CHARS_MAX = 120
# A function that does not fit on a screen does two things.
FUNCTION_LINES_MAX = 70
# One idea per module: 100 to 300 lines is the rule, this is the end of the rope.
MODULE_LINES_MAX = 400
TEST_MODULE_LINES_MAX = 600
# Made by a program, and one table: nobody reads it from top to bottom.
TABLES = ("firmware/glyphs.py",)

# Such a name promises nothing, so anything may go in and nobody can find it.
EMPTY_NAMES = re.compile(r"^_*(utils?|utilit(y|ies)|helpers?|managers?|commons?|misc|base|stuff|tools?)$")

TEXT_SUFFIXES = {
    ".css",
    ".html",
    ".js",
    ".json",
    ".md",
    ".py",
    ".svg",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
    ".in",
    ".lock",
}

# Written in pieces, so that this file does not find itself.
MACHINE_PATHS = ["/" + root for root in ("work/", "farm/", "root/", "home/", "Users/", "tmp/" + "plan")]
PRIVATE_KEY = "-----BEGIN " + r"(EC |RSA |ENCRYPTED )?" + "PRIVATE KEY"


def _name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def _texts() -> list[tuple[str, str]]:
    """(name, content) of every text file of the project."""
    return [
        (_name(path), path.read_text("utf-8")) for path in files() if path.suffix in TEXT_SUFFIXES or path.suffix == ""
    ]


def _of_packages() -> list[Module]:
    return [module for module in modules() if module.package in PACKAGES]


def test_the_project_is_looked_at() -> None:
    names = {_name(path) for path in files()}
    assert {"pyproject.toml", "Makefile", "protocol/cbor.py", "tests/test_tidiness.py"} <= names
    assert len(modules()) > 50


def test_lines_of_code_fit() -> None:
    wrong = [
        f"{name}:{number} has {len(line)} characters"
        for name, text in _texts()
        if name.endswith((".py", ".toml", ".yaml", "Makefile", ".ci/run"))
        for number, line in enumerate(text.splitlines(), 1)
        if len(re.sub(r" +# type: ignore.*", "", line)) > LINE_CHARS_MAX and not _is_long_by_nature(line)
    ]
    assert wrong == []


def _is_long_by_nature(line: str) -> bool:
    """One unbroken word, like a requirement with its platforms or a golden value, cannot be wrapped."""
    return line.strip().startswith('"') and line.strip().endswith(('"', '",'))


def test_functions_fit_on_a_screen() -> None:
    wrong = [
        f"{module.name}:{node.lineno} {node.name} has {lines} lines"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert wrong == []


def test_modules_hold_one_idea() -> None:
    wrong = []
    for module in modules():
        lines = len(module.path.read_text("utf-8").splitlines())
        most = TEST_MODULE_LINES_MAX if module.package == "tests" else MODULE_LINES_MAX
        if module.name not in TABLES and lines > most:
            wrong.append(f"{module.name} has {lines} lines")
    assert wrong == []


def test_every_module_says_what_lives_there() -> None:
    assert [module.name for module in modules() if not ast.get_docstring(module.tree)] == []


def test_every_public_function_and_class_of_the_packages_has_its_contract() -> None:
    wrong = [
        f"{module.name}:{node.lineno} {node.name}"
        for module in _of_packages()
        if not module.name.startswith("simulator/vm/")  # imitates modules of MicroPython, whose contract stands there
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert wrong == []


def test_names_of_files_and_folders_promise_something() -> None:
    parts = {part for path in files() for part in path.relative_to(REPOSITORY).with_suffix("").parts}
    assert [part for part in sorted(parts) if EMPTY_NAMES.match(part)] == []


def test_tests_lie_flat_and_hide_no_package() -> None:
    folders = {module.path.parent.name for module in modules() if module.package == "tests"}
    assert not folders & set(PACKAGES)
    assert not (REPOSITORY / "tests" / "__init__.py").exists()


def test_no_path_of_a_machine_stands_in_the_tree() -> None:
    wrong = [
        f"{name}:{number} {path}"
        for name, text in _texts()
        for number, line in enumerate(text.splitlines(), 1)
        for path in MACHINE_PATHS
        if path in line
    ]
    assert wrong == []


def test_no_private_key_stands_in_the_tree() -> None:
    assert [name for name, text in _texts() if re.search(PRIVATE_KEY, text)] == []
    assert [_name(path) for path in files() if path.suffix in (".key", ".pem", ".token")] == []


def test_text_files_end_with_a_newline_and_hold_no_carriage_return() -> None:
    wrong = [name for name, text in _texts() if text and (not text.endswith("\n") or "\r" in text)]
    assert wrong == []


def _pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\\n]+)", text, re.MULTILINE))


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_agree_with_what_is_pinned(lock: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    wanted = list(project["project"]["dependencies"])
    extras = project["project"]["optional-dependencies"]
    wanted += (
        extras["simulator"] if lock == "requirements.lock" else [each for extra in extras.values() for each in extra]
    )
    locked = {name.lower(): version for name, version in _pins((REPOSITORY / lock).read_text("utf-8")).items()}
    for requirement in wanted + project["build-system"]["requires"]:
        name, version = re.split("[=;]+", requirement.replace(" ", ""))[:2]
        assert locked.get(name.lower()) == version, f"{name}: run `make lock`"


def test_both_locks_install_the_same_versions() -> None:
    run, develop = (
        _pins((REPOSITORY / lock).read_text("utf-8")) for lock in ("requirements.lock", "requirements-dev.lock")
    )
    assert {name: develop.get(name) for name in run} == run


def test_locks_name_hashes_and_no_source() -> None:
    typings = ("tests/typings/esp32.lock", "tests/typings/unix.lock")
    for lock in ("requirements.lock", "requirements-dev.lock", "tests/interop/requirements.lock", *typings):
        text = (REPOSITORY / lock).read_text("utf-8")
        assert "://" not in text and "--index" not in text and "--find-links" not in text
        for block in re.split(r"\n(?=[A-Za-z])", text):
            if "==" in block.split("\n")[0]:
                assert "--hash=sha256:" in block, block.split("\n")[0]


def test_what_is_run_can_be_run() -> None:
    assert os.access(REPOSITORY / ".ci" / "run", os.X_OK)
