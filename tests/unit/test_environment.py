"""The three lists of packages say the same: pyproject.toml, environment.yml, requirements.lock."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
