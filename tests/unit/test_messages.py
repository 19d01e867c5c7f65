"""messages.yaml: every sentence is raised and filled, in both languages, in one tone."""

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

import tsunagari
from tsunagari import errors

PACKAGE = Path(tsunagari.__file__).parent
MESSAGES = errors.load_messages()
CLASSES = {"SurveyError", *(kind.__name__ for kind in errors.SurveyError.__subclasses__())}


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def calls():
    """Yield every call of an error: file and line, and the call."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in CLASSES or ast.unparse(node.func) == "super().__init__":
                    yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def plain_keys(node: ast.Call) -> list[str]:
    """Return the keys that the first argument of a call may be, as far as they stand there."""
    if not node.args:
        return []
    texts = (getattr(each, "value", None) for each in ast.walk(node.args[0]))
    return [text for text in texts if isinstance(text, str) and text in MESSAGES]


def test_every_key_is_raised_somewhere():
    source = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    parts = ("", "RECIPE.", "POPULATION_", "PARAMETER_UNKNOWN", "MISSING_CODE_UNDECLARED",
             "CODE_UNKNOWN")  # fmt: skip
    dead = [key for key in MESSAGES
            if not any(key.startswith(p) and f'"{key.removeprefix(p)}"' in source
                       or key.removeprefix(p) == ".option" for p in parts)]  # fmt: skip
    assert dead == []


@pytest.mark.parametrize(
    ("where", "node"), list(calls()), ids=lambda x: x if isinstance(x, str) else ""
)
def test_a_call_fills_the_places_of_its_sentence(where, node):
    given = {keyword.arg for keyword in node.keywords}
    for key in plain_keys(node):
        if None not in given:  # **values: a helper passes them on
            wanted = places(MESSAGES[key]["ja"]) | places(MESSAGES[key]["en"])
            assert wanted == given, (where, key)


POLITE = r"(?:ます|ません|です|ました|でした|ください|[}」])$"  # or a place for what is told before


def test_both_languages_speak_in_one_tone():
    for key, text in MESSAGES.items():
        assert re.fullmatch(r"[A-Z0-9_]+(\.[a-z0-9_]+)?", key)
        assert set(text) == {"ja", "en"}, key
        sentences = re.sub(r"（[^）]*）|\([^)]*\)", "", text["ja"]).rstrip("。").split("。")
        assert all(re.search(POLITE, each.strip()) for each in sentences), key
        assert not re.search(r"[ぁ-んァ-ヶ一-龥]", re.sub(r"\{[^}]*\}", "", text["en"])), key


def test_every_key_stands_once():
    names = re.findall(r"^([\w.]+):$", (PACKAGE / "messages.yaml").read_text("utf-8"), flags=re.M)
    assert len(names) == len(set(names)) == len(MESSAGES)


def test_an_error_says_code_and_both_sentences():
    told = errors.InputError("FILE_MISSING", place="2022/a.csv")
    assert str(told).startswith("E-FILE_MISSING: 2022/a.csv がありません。")
    assert str(told).endswith(" / 2022/a.csv is missing: put the file there again.")
    again = errors.InputError.told(told.code, ja="01: " + told.ja, en=told.en)
    assert (str(again).count("01: "), again.exit_code) == (1, 2)
