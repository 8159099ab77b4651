"""The tests of the wire once more, on the MicroPython VM: the same files, the same promises."""

from pathlib import Path

import micropython_run
import pytest
import source_tree

pytestmark = pytest.mark.micropython

LACKING_ON_VM = {"pytest", "hypothesis", "pathlib", "dataclasses", "typing", "functools", "itertools", "subprocess"}


@pytest.fixture(scope="session")
def image(micropython: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read-only image of protocol/ and the portable tests."""
    path = tmp_path_factory.mktemp("rom") / "tests.romfs"
    micropython_run.build_image(path)
    return path


@pytest.mark.parametrize("module", micropython_run.portable_modules())
def test_the_wire_keeps_its_promises_on_micropython(module: str, image: Path) -> None:
    outcome = micropython_run.run(module, image)
    promised = len(micropython_run.tests_of(module))
    assert (outcome.failed, outcome.returncode) == (0, 0), outcome.output
    assert outcome.passed + outcome.skipped == promised > 0, outcome.output
    if outcome.skipped:
        pytest.skip("\n".join(line for line in outcome.output.splitlines() if line.startswith("skipped ")))


def test_most_tests_of_the_wire_run_on_both_interpreters() -> None:
    assert len(micropython_run.portable_modules()) >= 12


def test_portable_modules_import_nothing_that_the_vm_lacks() -> None:
    portable = {f"tests/{module}.py" for module in micropython_run.portable_modules()}
    wrong = [
        f"{module.name}:{each.line} {each.module}"
        for module in source_tree.modules()
        if module.name in portable
        for each in source_tree.imports(module.tree)
        if each.top in LACKING_ON_VM
    ]
    assert wrong == []


PLANTED = """
def test_false():
    assert 1 == 2

def test_error():
    {}[1]

def test_true():
    assert True
"""


def test_a_failing_test_fails_the_run(tmp_path: Path, micropython: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = _run_planted(PLANTED, tmp_path, monkeypatch)
    assert (outcome.passed, outcome.failed, outcome.skipped, outcome.returncode) == (1, 2, 0, 1), outcome.output


def test_a_module_that_cannot_be_imported_fails_the_run(
    tmp_path: Path, micropython: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = _run_planted("import nowhere\n" + PLANTED, tmp_path, monkeypatch)
    assert outcome.passed == 0 and outcome.returncode != 0, outcome.output


def _run_planted(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> micropython_run.Outcome:
    """What the runner says of a module with this source."""
    for name in micropython_run.SHARED_MODULES:
        (folder / name).write_bytes((micropython_run.TESTS / name).read_bytes())
    (folder / "test_protocol_planted.py").write_text(source)
    monkeypatch.setattr(micropython_run, "TESTS", folder)
    image = folder / "planted.romfs"
    micropython_run.build_image(image)
    return micropython_run.run("test_protocol_planted", image)
