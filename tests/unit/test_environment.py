"""The three lists of packages say the same: pyproject.toml, environment.yml, requirements.lock."""

import ast
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tsunagari.run import release

ROOT = Path(__file__).resolve().parents[2]
NAMES_ON_CONDA = {"playwright": "playwright-python"}  # PyPI name -> conda-forge name
ONLY_ON_PYPI = {"axe-playwright-python"}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def declared(project) -> dict[str, str]:
    lines = project["dependencies"] + project["optional-dependencies"]["dev"]
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(one.name): str(one.specifier) for one in requirements}


@pytest.fixture(scope="module")
def conda() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def lock() -> str:
    return (ROOT / "requirements.lock").read_text(encoding="utf-8")


def locked_versions(lock: str) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9][a-z0-9.-]*)==([^\s;]+)", lock, flags=re.MULTILINE)
    assert len(found) == len({name for name, _ in found}), "one version a package, on any Python"
    return dict(found)


def as_ranges(lines: list[str]) -> dict[str, str]:
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(one.name): str(one.specifier) for one in requirements}


def test_conda_has_the_same_names_and_ranges(declared, conda):
    plain = [line for line in conda["dependencies"] if isinstance(line, str)]
    ranges = as_ranges([line for line in plain if line.split()[0] not in {"python", "pip"}])
    expected = {
        NAMES_ON_CONDA.get(name, name): text
        for name, text in declared.items()
        if name not in ONLY_ON_PYPI
    }
    assert ranges == expected


def test_pip_section_of_conda_holds_the_rest(declared, conda):
    (section,) = [part["pip"] for part in conda["dependencies"] if isinstance(part, dict)]
    assert section[-1] == "-e ."
    assert as_ranges(section[:-1]) == {name: declared[name] for name in ONLY_ON_PYPI}


def test_python_range_is_the_same(project, conda):
    assert f"python {project['requires-python']}" in conda["dependencies"]


def test_lock_holds_every_direct_dependency_within_its_range(declared, lock):
    versions = locked_versions(lock)
    for name, specifier in declared.items():
        assert Requirement(f"{name}{specifier}").specifier.contains(versions[name]), name


def test_every_locked_version_has_a_hash(lock):
    packages = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert len(packages) == len(locked_versions(lock))
    for package in packages:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", package), package.split("==")[0]


def test_lock_names_no_index_path_or_url(lock):
    assert not re.search(r"https?:|file:|--index|--find-links|--extra| @ |(?<!\w)/\w", lock)


def test_lock_covers_linux_and_mac_on_every_python(lock):
    # A package bound to one system or one Python must be one that only that system or Python needs.
    markers = dict(re.findall(r"^([a-z0-9.-]+)==\S+ ; (.+?) \\$", lock, flags=re.MULTILINE))
    for python in ("3.11", "3.13"):
        for system in ("linux", "darwin"):
            environment = {
                "python_version": python,
                "python_full_version": f"{python}.0",
                "sys_platform": system,
                "os_name": "posix",
                "platform_system": {"linux": "Linux", "darwin": "Darwin"}[system],
                "implementation_name": "cpython",
                "platform_python_implementation": "CPython",
            }
            kept = {name for name, text in markers.items() if Marker(text).evaluate(environment)}
            assert "pywinpty" not in kept
            assert "ptyprocess" in kept


def test_every_package_that_the_code_imports_is_declared(declared):
    sources = [*(ROOT / "lib").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    imported = set()
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module.split(".")[0])
    ours = {"tsunagari", "tests"} | {path.stem for path in (ROOT / "tests").rglob("*.py")}
    installed = packages_distributions()
    undeclared = {
        name
        for name in imported - ours - set(sys.stdlib_module_names)
        if not {canonicalize_name(one) for one in installed.get(name, [name])} & set(declared)
    }
    assert undeclared == set()


# --- the Makefile's stamp: a small project of its own, with our Makefile --------------------------

BACKEND = """
import zipfile
def build_editable(folder, *_):
    name = "tsunagari-1-py3-none-any.whl"
    info = "tsunagari-1.dist-info/"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr("tsunagari.pth", __import__("os").getcwd() + "/lib")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: tsunagari\\nVersion: 1")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true")
        wheel.writestr(info + "RECORD", "")
    return name
"""
SAYS = "import tsunagari; print(tsunagari.PLACE)"


def make_tree(folder, place):
    """Return a tree whose code says where it was written."""
    (folder / "lib/tsunagari").mkdir(parents=True)
    (folder / "lib/tsunagari/__init__.py").write_text(f"PLACE = {place!r}\n")
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "tsunagari"\nversion = "1"\n'
    )
    (folder / "requirements.lock").write_text("")
    shutil.copy(ROOT / "Makefile", folder)
    return folder


def make(folder, target=".venv/ready", **more):
    """Run make with the test's own Python, without the environment of these tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return subprocess.run(
        ["make", "-C", str(folder), target, f"PYTHON={sys.executable}"],
        env=kept | more, capture_output=True, text=True, check=False,
    )  # fmt: skip


def says(folder):
    python = folder / ".venv/bin/python"
    done = subprocess.run([python, "-c", SAYS], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """Return a tree that is ready, made where pip would install for the user."""
    folder = make_tree(tmp_path_factory.mktemp("made") / "first place", "first")
    config = folder.parent / "pip.conf"
    config.write_text("[install]\nuser = true\n")
    home = {"PIP_USER": "1", "PIP_CONFIG_FILE": str(config), "PIP_TARGET": str(folder / "no")}
    done = make(folder, **home)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_what_is_ready_stays_ready(ready):
    assert says(ready) == "first"
    before = (ready / ".venv/ready").stat().st_mtime_ns
    assert "up to date" in make(ready).stdout
    assert (ready / ".venv/ready").stat().st_mtime_ns == before
    os.utime(ready / "requirements.lock", (time.time() + 5,) * 2)
    assert "Setting up" in make(ready).stderr


@pytest.mark.slow
def test_a_copied_or_moved_tree_runs_its_own_code(ready, tmp_path):
    copy = shutil.copytree(ready, tmp_path / "copy", symlinks=True)
    (copy / "lib/tsunagari/__init__.py").write_text("PLACE = 'copy'\n")
    assert says(copy) == "first"  # the fault
    assert make(copy).returncode == 0
    assert (says(copy), says(ready)) == ("copy", "first")
    moved = copy.rename(tmp_path / "moved")
    assert make(moved).returncode == 0
    assert says(moved) == "copy"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gone", "another"])
def test_a_replaced_python_is_set_up_again(ready, kind):
    python = ready / ".venv/bin/python"
    python.unlink()
    if kind == "gone":
        python.symlink_to("/nowhere/python3")
    else:
        python.write_text(f"#!/bin/sh\n{sys.executable} -c 'print(\"another\")'\n")
        python.chmod(0o755)
    assert make(ready).returncode == 0
    assert says(ready) == "first"


@pytest.mark.slow
def test_a_linked_environment_is_replaced_and_never_cleared(ready, tmp_path):
    other = make_tree(tmp_path / "other", "other")
    (other / ".venv").symlink_to(ready / ".venv")
    done = make(other)
    assert done.returncode == 0, done.stderr
    assert (says(other), says(ready)) == ("other", "first")
    assert not (other / ".venv").is_symlink()


@pytest.mark.slow
def test_without_git_the_hooks_are_left_out(ready):
    done = make(ready, "setup")
    assert done.returncode == 0, done.stderr
    assert "No git here" in done.stderr


def test_clean_is_refused_during_a_run_and_spares_what_was_signed(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    processed = tmp_path / "data/processed/ehime"
    for name in ("2022/private", "releases/2022-ab", ".staging-2022"):
        (processed / name).mkdir(parents=True)
    (tmp_path / "reports/ehime/2022").mkdir(parents=True)
    (processed.parent / "input.key").write_text("key")
    (processed / "releases.json").write_text("{}")
    with release.locked(processed / "2022"):
        done = make(tmp_path, "clean")
        assert done.returncode != 0
        assert "E-LOCKED" in done.stderr
        assert (processed / "2022/private").is_dir() and (tmp_path / "reports").is_dir()
    assert make(tmp_path, "clean").returncode == 0
    left = [path.relative_to(processed).as_posix() for path in processed.rglob("*")]
    assert sorted(left) == ["releases", "releases.json", "releases/2022-ab"]
    assert (processed.parent / "input.key").exists()
    assert not (tmp_path / "reports").exists()
