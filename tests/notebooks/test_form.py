"""Notebooks keep the form of CONTRIBUTING.md: they state, call and show, and define nothing."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
ALLOWED_TAGS = {"parameters", "hide-input", "remove-cell"}
MAX_LINES = 20

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def load(path: Path):
    return nbformat.read(path, as_version=4)


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def code_cells(path: Path) -> list:
    return [cell for cell in load(path).cells if cell.cell_type == "code"]


def parameters_cell(path: Path):
    (cell,) = [cell for cell in load(path).cells if "parameters" in tags(cell)]
    return cell


def headings(path: Path) -> list[str]:
    words = "\n".join(cell.source for cell in load(path).cells if cell.cell_type == "markdown")
    return re.findall(r"^## (.+)$", words, flags=re.MULTILINE)


def test_there_are_notebooks_and_their_names_say_verb_and_object():
    assert NOTEBOOKS
    names = [path.name for path in NOTEBOOKS]
    assert [name for name in names if not re.fullmatch(r"\d\d_[a-z]+_[a-z]+\.ipynb", name)] == []


@each_notebook
def test_notebook_is_valid_and_names_its_kernel(path):
    notebook = load(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info.name == "python"
    assert "papermill" not in notebook.metadata
    assert "widgets" not in notebook.metadata


@each_notebook
def test_title_comes_first_with_its_four_lines(path):
    title = load(path).cells[0]
    assert title.cell_type == "markdown"
    number = int(path.stem[:2])
    assert re.match(rf"# {number}\. \S", title.source), "the title carries the notebook's number"
    words = re.findall(r"^[-* ]*\**(Question|Reads|Writes|Method)\b", title.source, re.MULTILINE)
    assert words == ["Question", "Reads", "Writes", "Method"]


@each_notebook
def test_parameters_stand_alone_typed_with_a_plain_value_and_a_comment(path):
    cells = load(path).cells
    assert "parameters" in tags(cells[1]), "the second cell is the parameters cell"
    cell = parameters_cell(path)
    lines = [line for line in cell.source.splitlines() if line.strip()]
    statements = ast.parse(cell.source).body
    assert len(lines) == len(statements), "one line a parameter, and nothing else in the cell"
    for line, statement in zip(lines, statements, strict=True):
        assert isinstance(statement, ast.AnnAssign), f"{line}: give it a type"
        ast.literal_eval(statement.value)
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", statement.target.id), line
        assert re.search(r"  # \S.{4,}", line), f"{line}: say meaning and unit in a comment"
    assert [statement.target.id for statement in statements][:2] == ["STUDY", "YEAR"]


@each_notebook
def test_cells_hold_no_outputs(path):
    for cell in code_cells(path):
        assert cell.outputs == []
        assert cell.execution_count is None


@each_notebook
def test_nothing_is_defined_or_looped_over(path):
    banned = (
        ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.Lambda, ast.Try
    )  # fmt: skip
    for cell in code_cells(path):
        tree = ast.parse(cell.source)
        assert [type(node).__name__ for node in tree.body if isinstance(node, banned)] == []
        names = [node.func.id for node in ast.walk(tree)
                 if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]  # fmt: skip
        assert "print" not in names, "the last expression is what we show"


@each_notebook
def test_cells_are_short_and_not_empty(path):
    for cell in load(path).cells:
        assert cell.source.strip()
    longest = max(len(cell.source.splitlines()) for cell in code_cells(path))
    assert longest <= MAX_LINES


@each_notebook
def test_tags_are_the_three_we_use(path):
    used = {tag for cell in load(path).cells for tag in tags(cell)}
    assert used <= ALLOWED_TAGS


@each_notebook
def test_sections_run_from_inputs_to_limits(path):
    found = headings(path)
    assert found[0].startswith("Inputs")
    assert [title.split()[0] for title in found[-3:]] == ["Checks", "Output", "Limits"]


@each_notebook
def test_no_path_of_a_machine_and_no_climbing(path):
    source = "\n".join(cell.source for cell in load(path).cells)
    # An absolute path, a drive letter, a home folder or a step upwards.
    assert not re.search(r"""["'`](/[A-Za-z]|[A-Za-z]:\\|~/|\.\./)""", source)


@each_notebook
def test_claims_are_asserted_under_checks(path):
    cells = load(path).cells
    checking = False
    asserts = 0
    for cell in cells:
        if cell.cell_type == "markdown":
            title = re.search(r"^## (\S+)", cell.source, flags=re.MULTILINE)
            checking = title.group(1) == "Checks" if title else checking
            continue
        here = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Assert)]
        assert checking or not here, "assert stands under Checks only"
        asserts += len(here)
    assert asserts >= 1


@each_notebook
def test_a_word_of_the_glossary_is_a_link_where_it_first_stands(path):
    glossary = (path.parents[1] / "docs/glossary_ja.md").read_text(encoding="utf-8")
    terms = [term for term in re.findall(r"^## (.+)$", glossary, flags=re.MULTILINE) if term != "n"]
    cells = [cell.source for cell in load(path).cells if cell.cell_type == "markdown"]
    lines = [line for text in cells for line in text.split("\n") if not line.startswith("#")]
    prose = re.sub("`[^`]*`", "", "\n".join(lines))
    link = re.compile(r"\[([^\]]*)\]\((?:[^()]*)\)")
    lost = []
    for term in terms:
        plain = prose.replace(f"#{term})", ")")  # an address is no place where it stands
        first, links = plain.find(term), [each.span(1) for each in link.finditer(plain)]
        if first >= 0 and not any(start <= first < end for start, end in links):
            lost.append(term)
    assert len(terms) > 30 and lost == []
