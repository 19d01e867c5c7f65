"""The house rules that no linter knows: import order, flat rooms, no machine and no host named."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lib" / "tsunagari"

# One way only: a room may import rooms to its left. synthetic stands beside the line.
ROOMS = (
    "estimates study population planning formats reading coding cleaning weighting estimation "
    "verdicts benchmark comparison models tables voices programmes disclosure attack figures "
    "report notebooks release pipeline"
).split()
MAY_IMPORT = {room: set(ROOMS[:position]) for position, room in enumerate(ROOMS)}
MAY_IMPORT["synthetic"] = {"study", "population", "planning"}
MAY_IMPORT["__init__"] = set()

# Spelt in two halves, so that this file does not hold what it looks for.
HOSTS = [
    first + second
    for first, second in (
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("registry.npmjs", ".org"),
        ("deb.debian", ".org"),
        ("conda.ana", "conda.org"),
    )
]
MACHINE_PATHS = ["/" + top + "/" for top in ("work", "root", "home")]
BINARY_SUFFIXES = {".pyc", ".png", ".parquet", ".xlsx", ".sav", ".rds", ".woff2"}


FOLDERS = {"programmes"}  # a room of several files


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def git(*arguments: str) -> str:
    if not (ROOT / ".git").exists():  # a ZIP, maybe in another's checkout
        pytest.skip("not a git checkout")
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def tracked_files() -> list[Path]:
    return [ROOT / name for name in git("ls-files", "-z").split("\0") if name]


def imported_rooms(path: Path) -> set[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = "tsunagari." * node.level  # a relative import starts at the package
            source = (package + (node.module or "")).rstrip(".")
            inside = [alias.name for alias in node.names] if source == "tsunagari" else [""]
            names += [f"{source}.{name}" for name in inside]
    return {name.split(".")[1] for name in names if name.startswith("tsunagari.")} - {""}


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_rooms_import_one_way(path):
    room = room_of(path)
    assert room in MAY_IMPORT, "a new room takes its place in ROOMS first"
    assert imported_rooms(path) - ({room} & FOLDERS) <= MAY_IMPORT[room]


def test_package_has_no_drawer_for_odds_and_ends():
    folders = [path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    assert set(folders) <= FOLDERS
    assert not {"utils", "util", "helpers", "common", "misc"} & {path.stem for path in modules()}


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_assert_stays_in_tests(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)] == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_functions_call_by_name(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    too_many = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        positional = [one.arg for one in node.args.posonlyargs + node.args.args]
        if node.name.startswith("__"):
            continue
        # A helper that is called a few lines away may take three.
        most = 3 if node.name.startswith("_") else 2
        if len([name for name in positional if name not in {"self", "cls"}]) > most:
            too_many.append(node.name)
    assert too_many == [], "two positional arguments at most"


def test_drawing_has_one_room():
    drawing = re.compile(r"^\s*(import|from) (matplotlib|seaborn)", flags=re.MULTILINE)
    rooms = [path.stem for path in modules() if drawing.search(path.read_text(encoding="utf-8"))]
    assert set(rooms) <= {"figures"}


def test_tracked_files_name_no_host_and_no_machine():
    found = []
    for path in tracked_files():
        if path.suffix in BINARY_SUFFIXES or not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [f"{path.name}: {word}" for word in HOSTS + MACHINE_PATHS if word in text]
    assert found == []


def test_no_path_climbs_out_of_its_folder():
    climbing = re.compile(r"""["']\.\./""")
    source = [*modules(), *(ROOT / "notebooks").glob("*.ipynb")]
    assert [p.name for p in source if climbing.search(p.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("name", "is_ignored"),
    [
        ("data/raw/ehime/2022/responses.csv", True),
        ("data/raw/ehime/2022/responses.xlsx", True),
        ("data/raw/ehime/2022/納品データ.sav", True),
        ("data/raw/ehime/2022/decisions.csv", True),
        ("data/raw/ehime/2022/programmes.csv", True),
        ("data/raw/ehime/responses.csv", True),
        ("data/raw/ehime/2022/vendor/responses.csv", True),
        ("data/raw/eu-loneliness-fr/2022/EU_loneliness_2022.csv", True),
        ("data/processed/ehime/2022/private/respondents.parquet", True),
        ("reports/ehime/2022/council_report.html", True),
        ("data/raw/ehime/2022/responses_synthetic.csv", False),
        ("data/raw/ehime/study.yaml", False),
        ("data/raw/ehime/codebook.csv", False),
        ("data/raw/ehime/recipe.yaml", False),
        ("data/raw/ehime/population.csv", False),
        ("data/raw/national/benchmarks.csv", False),
        ("lib/tsunagari/study.py", False),
    ],
)
def test_git_takes_only_what_is_meant_for_the_public(name, is_ignored):
    assert bool(git("check-ignore", "--no-index", name).strip()) is is_ignored
