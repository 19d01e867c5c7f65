"""The house rules that no linter knows: import order, one way, no machine and no host named."""

import ast
import re
import subprocess
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lib" / "tsunagari"

# One way only: a module may import those before it. synthetic stands beside the line.
HOUSE = """
errors estimates
study.files study.codebook study.settings study.survey study.official study.population
study.planning
intake.formats intake.received intake.delimited intake.reading intake.judging intake.columns
intake.multi_answer intake.coding intake.deriving intake.decisions intake.cleaning intake.review
statistics.designs statistics.calibration statistics.weighting statistics.domains
statistics.estimation statistics.differences statistics.quantiles statistics.association
statistics.reliability statistics.replicates statistics.verdicts statistics.benchmark
statistics.gaps statistics.comparison statistics.waves statistics.merging statistics.logit
statistics.ordinal statistics.effects statistics.imputation statistics.models
tables sample
voices.words voices.names voices.redaction voices.themes voices.answers voices.quotes voices.sheet
voices.tabulate
programmes.schema programmes.cells programmes.checks programmes.records programmes.templates
programmes.rows programmes.resources programmes.supply programmes.hsds programmes.finder
programmes.symposium programmes.consultations programmes.supporters
programmes.council programmes.courses programmes.ledger programmes.plan programmes.track
gate.archive gate.words gate.questionnaire gate.linked gate.bounds gate.primary gate.hiding
gate.rounding gate.secondary gate.checks gate.suppression gate.describe gate.publish gate.trace
gate.attack
report.texts report.edition report.charts report.figures report.blocks report.published
report.english report.writer report.findings report.tables report.pictures report.programmes
report.groups report.quality report.summary report.shown report.another report.page
report.workbook report.pdf
run.notebooks run.release run.signoff run.pipeline run.session
synthetic starting.making starting.recipes starting.checking starting.lab
"""
MODULES = HOUSE.split()
MAY_IMPORT = {name: set(MODULES[:position]) for position, name in enumerate(MODULES)}
MAY_IMPORT["synthetic"] = {name for name in MODULES if name.startswith("study.")} | {"errors"}

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


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


each_module = pytest.mark.parametrize("path", modules(), ids=name_of)


def git(*arguments: str) -> str:
    if not (ROOT / ".git").exists():  # a ZIP, maybe in another's checkout
        pytest.skip("not a git checkout")
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def tracked_files() -> list[Path]:
    return [ROOT / name for name in git("ls-files", "-z").split("\0") if name]


def imported_modules(path: Path) -> set[str]:
    known = set(MAY_IMPORT)
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written from the package"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    inside = [name.removeprefix("tsunagari.") for name in names if name.startswith("tsunagari.")]
    # `from tsunagari.errors import InputError` names what stands in the module errors.
    return {name if name in known else name.rpartition(".")[0] for name in inside}


@each_module
def test_modules_import_one_way(path):
    assert name_of(path) in MAY_IMPORT, "a new module takes its place in HOUSE first"
    assert imported_modules(path) <= MAY_IMPORT[name_of(path)]


def test_a_folder_is_a_docstring_and_no_drawer_for_odds_and_ends():
    for path in PACKAGE.rglob("__init__.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert all(isinstance(node, ast.Expr | ast.ImportFrom) for node in tree.body), path
    assert not {"utils", "util", "helpers", "common", "misc"} & {path.stem for path in modules()}


@each_module
def test_assert_stays_in_tests(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)] == []


@each_module
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
    rooms = [name_of(path) for path in modules() if drawing.search(path.read_text("utf-8"))]
    assert rooms == ["report.charts", "report.figures"]


def test_the_house_is_drawn_with_every_room():
    drawing = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").split("```")[1]
    named = [line.partition("  ")[0].replace("/", "").split(", ") for line in drawing.splitlines()]
    assert {name.partition(".")[0] for name in MODULES} <= set(chain.from_iterable(named))


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
        ("data/raw/ehime/2022/programmes/resources_synthetic.csv", False),
        ("data/raw/ehime/2022/programmes/events_published.csv", False),
        ("data/raw/ehime/2022/programmes/resources.xlsx", True),
        ("data/raw/ehime/2022/programmes/supporter_people.csv", True),
        ("data/raw/ehime/2022/programmes.csv", True),
        ("data/raw/ehime/responses.csv", True),
        ("data/raw/ehime/2022/vendor/responses.csv", True),
        ("data/raw/eu-loneliness-fr/2022/EU_loneliness_2022.csv", True),
        ("data/processed/ehime/2022/private/respondents.parquet", True),
        ("reports/ehime/2022/council_report.html", True),
        ("data/raw/ehime/2022/responses_synthetic.csv", False),
        ("data/raw/ehime/study.yaml", False),
        ("data/raw/ehime/codebook.csv", False),
        ("data/raw/ehime/texts_en.yaml", False),
        ("data/raw/ehime/recipe.yaml", False),
        ("data/raw/ehime/themes.yaml", False),
        ("data/raw/ehime/2022/quotes.csv", True),
        ("data/raw/ehime/2022/coding_trouble_theme_1.xlsx", True),
        ("data/raw/ehime/population.csv", False),
        ("data/raw/national/benchmarks.csv", False),
        ("lib/tsunagari/study/survey.py", False),
    ],
)
def test_git_takes_only_what_is_meant_for_the_public(name, is_ignored):
    assert bool(git("check-ignore", "--no-index", name).strip()) is is_ignored
