"""Which options did a person choose, in whatever layout they were delivered?"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from tsunagari.errors import InputError, show_rows
from tsunagari.intake.columns import Book, CellLog, Coded, judge_column
from tsunagari.intake.judging import Judgement, judge_code, label_key
from tsunagari.study.codebook import NO_ANSWER
from tsunagari.study.survey import Study

_MENTION = "\x1f"  # between mentions put together; no part of a text


# --- multi-answer -------------------------------------------------------------------------------


def code_multiple(item: str, *, book: Book, log: CellLog) -> tuple[np.ndarray, np.ndarray, Coded]:
    """Return which options are chosen, whom a mark puts outside the base, and who answered.

    Returns:
        Bool, shape (k, n); bool, shape (n,); answered, no_answer or none.

    Raises:
        InputError: Its columns use other marks than the study file says.
    """
    variables, n = book.options(item), len(log.raw)
    chosen = np.zeros((len(variables), n), dtype=bool)
    seen = {kind: np.zeros(n, dtype=bool) for kind in ("0", "not_applicable", "no_answer")}
    has_blank = False
    for k, variable in enumerate(variables):
        marks, judge = _option_marks(variable, book=book)
        places, found = judge_column(variable, judge, log=log, is_option=True)
        kinds = np.array([marks.get(each.value, "") for each in found] + [""])
        chosen[k] = (kinds == "1")[places]
        for kind in set(kinds) - {"", "1"}:
            seen[kind if kind in seen else "no_answer"] |= (kinds == kind)[places]
        has_blank |= any(each == Judgement() for each in found)
    if book.marks.unchosen != "" and has_blank and not seen["0"].any() and chosen.any():
        raise InputError("MULTI_ANSWER_CODING", item=item)
    _settle_exclusive(item, variables, chosen=chosen, book=book, log=log)
    status = _multi_status(variables, chosen=chosen, seen=seen, book=book)
    outside = seen["not_applicable"] & ~chosen.any(axis=0)
    return chosen, outside, status


def _option_marks(
    variable: str, *, book: Book
) -> tuple[dict[str, str], Callable[[str], Judgement]]:
    """Return what each mark of an option says (1, 0 or a role), and what judges its cells."""
    code, label, _ = book.codes[variable][0]
    rule, key = book.marks, label_key(label)
    chosen = code if rule.chosen == "code" else rule.chosen
    marks = {**book.missing, **({rule.unchosen: "0"} if rule.unchosen else {}), chosen: "1"}
    codes = {mark: mark for mark in marks}
    labels = {key: chosen} if key else {}
    return marks, lambda text: judge_code(text, codes=codes, labels=labels)


def _settle_exclusive(
    item: str, variables: list[str], *, chosen: np.ndarray, book: Book, log: CellLog
) -> None:
    """Where "none of these" stands beside other answers, keep the others; `chosen` is changed."""
    alone = np.array([book.codes[v][0][2] not in ("answer", "other") for v in variables])
    if alone.any():
        conflict = chosen[alone].any(axis=0) & (chosen.sum(axis=0) > 1)
        for k in np.flatnonzero(alone):
            rows = np.flatnonzero(conflict & chosen[k])
            log.blank(rows, variables[k], reason="EXCLUSIVE_CONFLICT")
            chosen[k, rows] = False
    most = book.limits[variables[0]][1]
    if np.isfinite(most):
        log.flag(np.flatnonzero(chosen.sum(axis=0) > most), item, flag="TOO_MANY_CHOICES")


def _multi_status(
    variables: list[str], *, chosen: np.ndarray, seen: Mapping[str, np.ndarray], book: Book
) -> Coded:
    """Say of every row whether the question was answered.

    Nothing chosen is an answer only where every option is marked unchosen, the question offers no
    "none of these", and it may be left open (`required: no`).
    """
    roles = [book.codes[variable][0][2] for variable in variables]
    answers = np.array([role in ("answer", "other", "exclusive") for role in roles])
    status = np.full(chosen.shape[1], -1, dtype=np.int8)
    if not book.required[variables[0]] and "exclusive" not in roles:
        status[seen["0"] if book.marks.unchosen != "" else slice(None)] = 0
    status[seen["no_answer"] | chosen[~answers].any(axis=0)] = 1
    status[chosen[answers].any(axis=0)] = 0
    return Coded(("answered", NO_ANSWER), status)


def split_multiple(raw: pd.DataFrame, study: Study, *, counted: np.ndarray) -> pd.DataFrame:
    """Return the table with one column an option, however multi-answer questions were given.

    An item may stand in one cell between separators, or as first, second, third mention.

    Raises:
        InputError: The study file names no separator; `counted` rows, shape (n,), hold something
            else than codes or labels; or an item stands in one cell and in columns, which differ.
    """
    book, rule, new = Book.of(study), study.config.multi_answer, {}
    plain = unicodedata.normalize("NFKC", rule.separator or "")
    for item in dict.fromkeys(book.items[v] for v, kind in book.kinds.items() if kind == "MA"):
        mark = plain.strip() or plain[-1:]  # a comma with a space is a comma; white space stays
        if item in rule.mentions:
            mark, columns = _MENTION, [raw[name].astype("str") for name in rule.mentions[item]]
            cells = columns[0].str.cat(columns[1:], sep=mark).astype("category")
        elif item in raw and item not in book.kinds:
            cells = raw[item].astype("category")
        else:
            continue
        names = _names_in_cell(item, mark=mark, book=book)
        parts = [_split_cell(text, mark, names=names) for text in cells.cat.categories]
        is_odd = np.array([None in each for each in parts])[cells.cat.codes] & counted
        if not mark or is_odd.any():
            rows = raw.index[is_odd] if mark else raw.index
            told = {"item": item, "n": len(rows), "rows": show_rows(rows)}
            raise InputError("MULTI_ANSWER_SEPARATOR", **told)
        split = {v: _option_texts(v, parts, book=book) for v in book.options(item)}
        split = {v: pd.Series(texts).take(cells.cat.codes) for v, texts in split.items()}
        given = [] if item in rule.mentions else [v for v in split if v in raw]
        _refuse_other_answers(item, raw[given], split=split, book=book, counted=counted)
        new |= {v: column.array for v, column in split.items() if v not in given}
    return raw.assign(**new) if new else raw


def _names_in_cell(item: str, *, mark: str, book: Book) -> dict[str, str]:
    """Return what may stand between separators: codes, labels, marks; "" for no mention."""
    options = [book.codes[variable][0] for variable in book.options(item)]

    def key(text: str) -> str:
        return mark.join(_pieces(text, mark))

    labels = Counter(key(label) for _, label, _ in options)
    names = {key(label): code for code, label, _ in options if labels[key(label)] == 1}
    names |= {key(text): text for text in book.missing}
    names |= {key(book.marks.unchosen): ""} if mark == _MENTION else {}
    return names | {key(code): code for code, _, _ in options}


def _pieces(text: str, mark: str) -> list[str]:
    plain = label_key(text)
    return [piece.strip() for piece in (plain.split(mark) if mark else [plain]) if piece.strip()]


def _split_cell(text: str, mark: str, *, names: Mapping[str, str]) -> list[str | None]:
    """Return what stands in a cell, None for what has no name; a name may hold separators."""
    pieces, found = _pieces(text, mark), []
    while pieces:
        n = next((n for n in range(len(pieces), 0, -1) if mark.join(pieces[:n]) in names), 1)
        found.append(names.get(mark.join(pieces[:n])))
        pieces = pieces[n:]
    return found


def _option_texts(variable: str, parts: list[list[str | None]], *, book: Book) -> pd.Categorical:
    """Return what the column of an option would hold for each of the cells."""
    code, rule = book.codes[variable][0][0], book.marks
    chosen, texts = code if rule.chosen == "code" else rule.chosen, []
    for each in parts:
        told = [part for part in each if part not in book.missing]
        texts.append(chosen if code in told else rule.unchosen if told else (each or [""])[0])
    return pd.Categorical(pd.array(texts, dtype="str"))


def _refuse_other_answers(
    item: str,
    given: pd.DataFrame,
    *,
    split: Mapping[str, pd.Series],
    book: Book,
    counted: np.ndarray,
) -> None:
    """Refuse an item whose one cell and whose columns do not say the same."""
    differ = np.zeros(len(given), dtype=bool)
    for variable, column in given.items():
        marks, judge = _option_marks(variable, book=book)
        pair = []
        for each in (column.astype("category").array, split[variable].array):
            is_chosen = [marks.get(judge(text).value or "") == "1" for text in each.categories]
            pair.append(np.array(is_chosen)[each.codes])
        differ |= pair[0] != pair[1]
    rows = given.index[differ & counted]
    if len(rows):
        raise InputError("MULTI_ANSWER_TWICE", item=item, n=len(rows), rows=show_rows(rows))
