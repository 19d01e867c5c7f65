"""What was asked: variables, codes, labels, roles, and who was asked what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tsunagari.errors import ConfigError

NO_ANSWER = "no_answer"  # asked, and no usable answer was given; never a code of a questionnaire

CODEBOOK_COLUMNS = (
    "question_no item variable type label short_label code code_label role min max ask_if required "
    "scale sensitive waves version certainty_wording certainty_options certainty_order source"
).split()
_TYPES = ("SA", "MA", "NUM", "OA", "ID", "DATE")
_ROLES = ("answer", "other", "exclusive", "no_answer", "refused", "dont_know", "not_applicable")
_UNTIDY_CODE = r"[\uff01-\uff5e\u3000]|^\s|\s$"
MISSING_ROLES = ("no_answer", "refused", "dont_know", "not_applicable")


# --- codebook -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """One question as tables see it.

    Attributes:
        name: Name of the item, such as "lonely_direct".
        label: Wording.
        short_label: Wording for figures.
        kind: SA, MA, NUM, OA or derived (a band or a merged answer, tabulated like SA).
        options: Label of every code that is an answer, in questionnaire order.
        missing: Label of every code that counts as asked but is no answer (refused, don't know).
        no_answer: Codes that stand for no answer.
        not_asked: Codes that put the person outside the base.
        nets: Label and codes of every net of the recode tree, finest first.
        columns: For MA the column of every option, in the order of `options`.
        exclusive: For MA the codes that exclude the others.
        sensitive: Whether the disclosure policy counts the item as sensitive.
        question_no: Number in the questionnaire; empty for a derived item.
        version: Version of the question in this wave.
        limits: For bands of a number the ends of every code, both included.
        scale: Version of the scale, such as "ucla3-4"; empty for what is none.
    """

    name: str
    label: str
    short_label: str
    kind: str
    options: dict[str, str]
    missing: dict[str, str] = field(default_factory=dict)
    no_answer: tuple[str, ...] = ()
    not_asked: tuple[str, ...] = ()
    nets: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    sensitive: bool = False
    question_no: str = ""
    version: str = "1"
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    scale: str = ""

    def indicators(self, respondents: pd.DataFrame, *, base: str = "asked") -> pd.DataFrame:
        """Return one 0/1 column for every code and net of this item.

        Args:
            respondents: Cleaned respondents, shape (n, any).
            base: "asked" counts people without an answer in the base and gives them a column
                `no_answer`; "answered" leaves them out, as it does refusals and don't knows.

        Returns:
            Shape (n, k), float, columns are codes then nets; NaN outside the base.
        """
        chosen, base_mask = self._chosen(respondents, base=base)
        for net, (_, codes) in self.nets.items():
            chosen[net] = np.any([chosen[c] for c in codes if c in chosen], axis=0)
        table = pd.DataFrame(chosen, index=respondents.index).astype(float)
        return table.where(pd.Series(base_mask, index=respondents.index), axis=0)

    def _chosen(
        self, respondents: pd.DataFrame, *, base: str
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        if self.kind == "MA":
            status = respondents[self.name]
            asked = status.notna().to_numpy()
            answered = (status == "answered").fillna(value=False).to_numpy(bool)
            chosen = {
                code: (respondents[column] == 1).fillna(value=False).to_numpy(bool)
                for code, column in zip(self.options, self.columns, strict=True)
            }
            none = asked & ~answered
        else:
            values = respondents[self.name].astype("string")
            codes = values.fillna("").to_numpy(str)
            asked = values.notna().to_numpy() & ~np.isin(codes, self.not_asked)
            chosen = {code: codes == code for code in (*self.options, *self.missing)}
            answered = np.isin(codes, list(self.options))
            none = np.isin(codes, [NO_ANSWER, *self.no_answer])
        if base == "answered":
            return {code: chosen[code] for code in self.options}, answered
        if none.any():
            chosen[NO_ANSWER] = none
        return chosen, asked

    @property
    def labels(self) -> dict[str, str]:
        """Label of every code and net."""
        nets = {name: label for name, (label, _) in self.nets.items()}
        return {**self.options, **self.missing, NO_ANSWER: "無回答", **nets}


@dataclass(frozen=True)
class Codebook:
    """The codebook of one wave.

    Attributes:
        columns: One row a column of the answer file, indexed by variable: item, type, label,
            short_label, ask_if, required, scale, min, max, sensitive, version, question_no.
        codes: One row a code: variable (for MA the option's column), item, code, code_label, role.
        table: The whole file as read, all waves.
    """

    columns: pd.DataFrame
    codes: pd.DataFrame
    table: pd.DataFrame

    def role(self, variable: str, *, roles: Iterable[str]) -> list[str]:
        """Return the codes of a variable that have one of these roles."""
        mine = self.codes[(self.codes["variable"] == variable) & self.codes["role"].isin(roles)]
        return mine["code"].tolist()


def problem_list(problems: list[str]) -> str:
    """Return problems as one text, the first twelve."""
    shown = problems[:12]
    more = f" … (+{len(problems) - 12})" if len(problems) > 12 else ""
    return "; ".join(shown) + more


def read_codebook(path: Path, *, year: int) -> Codebook:
    """Read a codebook and keep the rows of one wave.

    Args:
        path: UTF-8 CSV, one row a code (for MA a row a column); docs/data_dictionary.md has the
            columns.
        year: Survey wave; rows whose `waves` name other years only are left out.

    Returns:
        The codebook of that wave.

    Raises:
        ConfigError: The file is missing or one of its rows breaks a rule; every mistake is named
            with its file row.
    """
    codebook, problems = inspect_codebook(path, year=year)
    if problems or codebook is None:
        told = problem_list(problems)
        raise ConfigError("CODEBOOK", name=path.name, n=len(problems), problem_list=told)
    return codebook


def inspect_codebook(path: Path, *, year: int) -> tuple[Codebook | None, list[str]]:
    """Return a codebook as far as it can be read, and its mistakes with their file rows.

    Args:
        path: As for `read_codebook`.
        year: As for `read_codebook`.

    Returns:
        The codebook of that wave, None where columns lack; and the mistakes, in the file's order.

    Raises:
        ConfigError: The file is missing or no CSV.
    """
    if not path.exists():
        raise ConfigError("CODEBOOK_MISSING", name=path.name, name_2=path.parent.name)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ConfigError("CODEBOOK_UNREADABLE", name=path.name) from error
    table.index = pd.RangeIndex(2, len(table) + 2, name="file_row")
    problems = _check_codebook_columns(table)
    if problems:
        return None, problems
    in_wave = table["waves"].str.split().map(lambda years: not years or str(year) in years)
    kept = table[in_wave]
    problems = _check_codebook_rows(kept)
    first = ~kept["variable"].duplicated() & ~kept["type"].isin(_TYPES)
    return _split_codebook(kept.assign(type=kept["type"].mask(first, "SA")), table), problems


def _check_codebook_columns(table: pd.DataFrame) -> list[str]:
    lacking = [name for name in CODEBOOK_COLUMNS if name not in table.columns]
    unknown = [name for name in table.columns if name not in CODEBOOK_COLUMNS]
    problems = [f"列 {name} がない (column missing)" for name in lacking]
    return problems + [f"列 {name} は使えない (column not allowed)" for name in unknown]


def _check_codebook_rows(table: pd.DataFrame) -> list[str]:
    problems = []
    first = table.drop_duplicates("variable")
    for row, kind in first["type"].items():
        if kind not in _TYPES:
            problems.append(f"{row} 行目 type は {'/'.join(_TYPES)} のどれか (one of these)")
    roles = table["role"].replace("", "answer")
    for row in table.index[~roles.isin(_ROLES)]:
        problems.append(f"{row} 行目 role は {'/'.join(_ROLES)} のどれか (one of these)")
    for row in table.index[table["code"].str.contains(_UNTIDY_CODE)]:
        problems.append(f"{row} 行目 code が全角か、前後に空白がある (full-width or with spaces)")
    for name in ("min", "max"):
        is_number = np.isfinite(pd.to_numeric(table[name].replace("", "0"), errors="coerce"))
        for row in table.index[~is_number]:
            problems.append(f"{row} 行目 {name} が数でない (not a number)")
    kinds = table["variable"].map(first.set_index("variable")["type"])
    owner = np.where(kinds == "MA", table["item"], table["variable"])
    coded = table.assign(owner=owner)[kinds.isin(["SA", "MA"])]
    for (owner_name, code), rows in coded.groupby(["owner", "code"]).groups.items():
        if len(rows) > 1:
            listed = "・".join(map(str, rows))
            problems.append(f"{owner_name} のコード {code} が重複 (duplicate code): {listed} 行目")
        if code == "":
            problems.append(f"{owner_name} のコードが空 (empty code): {rows[0]} 行目")
    repeated = table[~kinds.isin(["SA"]) & table["variable"].duplicated()]
    for row, name in repeated["variable"].items():
        problems.append(f"{row} 行目 {name} は一度だけ書く (variable repeated)")
    return problems


def _split_codebook(kept: pd.DataFrame, table: pd.DataFrame) -> Codebook:
    columns = kept.drop_duplicates("variable").set_index("variable")
    columns["item"] = columns["item"].where(columns["item"] != "", columns.index.to_series())
    filled = columns.replace("", None)
    texts = ["label", "short_label", "question_no", "ask_if", "scale", "version", "required"]
    ma = columns["type"] == "MA"
    columns.loc[ma, texts] = filled[ma].groupby("item")[texts].transform("first").fillna("")
    columns["short_label"] = columns["short_label"].where(
        columns["short_label"] != "", columns["label"]
    )
    columns["version"] = columns["version"].replace("", "1")
    codes = kept[kept["variable"].map(columns["type"]).isin(["SA", "MA"])].copy()
    codes["item"] = codes["variable"].map(columns["item"])
    codes["role"] = codes["role"].replace("", "answer")
    return Codebook(
        columns=columns,
        codes=codes[["variable", "item", "code", "code_label", "role"]],
        table=table,
    )


# --- skip logic -----------------------------------------------------------------------------------

Condition = tuple[str, tuple[str, ...]]


def parse_condition(text: str, *, where: str) -> list[Condition]:
    """Return the parts of `variable=code|code & variable=code`.

    Args:
        text: The condition.
        where: The variable or rule it belongs to, named in the message.

    Raises:
        ConfigError: It is not of that form.

    Example:
        >>> parse_condition("a=1|2 & b=3", where="c")
        [('a', ('1', '2')), ('b', ('3',))]
    """
    parts = []
    for part in filter(None, (each.strip() for each in text.split("&"))):
        name, equals, codes = part.partition("=")
        if not equals or not codes.strip():
            raise ConfigError("CONDITION", where=where)
        parts.append((name.strip(), tuple(code.strip() for code in codes.split("|"))))
    return parts


def skip_rules(codebook: Codebook) -> dict[str, list[Condition]]:
    """Return every question's condition, in an order in which each filter comes first.

    Raises:
        ConfigError: A rule names a variable or a code that is not there, or rules go round in a
            circle.
    """
    conditions = codebook.columns["ask_if"]
    rules = {v: parse_condition(text, where=v) for v, text in conditions.items() if text}
    if rules:
        _check_filters(rules, codebook)
    ordered: dict[str, list[Condition]] = {}
    while len(ordered) < len(rules):
        ready = [
            v
            for v, parts in rules.items()
            if v not in ordered and all(name in ordered or name not in rules for name, _ in parts)
        ]
        if not ready:
            left = ", ".join(v for v in rules if v not in ordered)
            raise ConfigError("SKIP_RULE", left=left)
        ordered.update({v: rules[v] for v in ready})
    return ordered


def _check_filters(rules: dict[str, list[Condition]], codebook: Codebook) -> None:
    """Refuse a filter that is no coded variable of the codebook, or a code it does not have."""
    kinds = codebook.columns["type"].to_dict()
    known = {name: {"0", "1"} if kind == "MA" else set() for name, kind in kinds.items()}
    for name, code in zip(codebook.codes["variable"], codebook.codes["code"], strict=True):
        if kinds[name] == "SA":
            known[name].add(code)
    for variable, parts in rules.items():
        for name, codes in parts:
            is_filter = bool(known.get(name)) and name != variable
            wrong = [code for code in codes if code not in known[name]] if is_filter else [name]
            if wrong:
                listed = ", ".join(wrong)
                raise ConfigError("SKIP_RULE.check_filters", variable=variable, listed=listed)
