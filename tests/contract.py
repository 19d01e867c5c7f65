"""Does a page say what its rows say? Read without tsunagari, from the released files alone.

Every number of a table is the measure that its headings name, of the answer and group that they
name; every direction in a sentence is that of the row beside it; one figure has one verdict.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import re
from collections import defaultdict
from dataclasses import dataclass, field
from html.parser import HTMLParser

KEY = "wave table_id measure domain domain_value item item_value weighting".split()
MARKS = "▲▽"
NUMBER = re.compile(r"[+\-−]?\d[\d,]*(?:\.\d+)?")
# What a heading says of its cells: the measures they may be of.
HEADINGS = {
    r"図の値（%）": "percent.*|share",
    r"割合（%）|\d{4}年（%）": "percent",
    r"年齢調整（%）": "percent_age_standardised",
    r"全国(?:の公表値)?（%）": "percent_benchmark(_age_standardised)?",
    r"達成率（%）": "achievement",
    r".*（%）": "percent",  # the area's own
    r"Share \d{4} \(%\)|Last survey \d{4} \(%\)": "percent",
    r"Nation as published \(%\)": "percent_benchmark",
    r"Change \(points\)": "difference_points",
    r"Against the nation.*": "difference_points(_benchmark)?(_age_standardised)?",
    r"基準": "baseline",
    r"目標": "target",
    r"前年度": "previous",
    r"実績|測定": "actual|share|percent|count|mean.*",
    r"1万人あたり.*": "rate",
    r"出席率（団体、%）": "share",
    r"地域の団体|県全域・全国の団体": "count",
    r"前回.*との差.*": "difference_points",
    r"差（ポイント）と判定": "difference_points",
    r"(全国との|年齢をそろえた)?差（.*ポイント）": "difference_points(_benchmark)?(_age_.*)?",
    r"平均限界効果（ポイント）|この報告": "marginal_effect_points",
    r"重みを使わない|答えのない人を補う": "marginal_effect_points",
    r"オッズ比": "odds_ratio",
    r"平均": "mean",
    r"件|.* 回収": "count",
    r".* 人口に比例した人数（参考）": "quota",
    r"\d+": "half_width",
    r"α（.*）": "cronbach_alpha",
    r"内容": "n_respondents",
    r"値": "(?!percent|difference).*",
    r"図の値（ポイント）": "difference.*|marginal_effect_points",
}
ANY = {"n (people)": "base", "95%信頼区間": "ends", "区間": "ends", "n（人）": "base", "n": "base"}
UP, DOWN, NEITHER = "高い|高く|増え", "低い|低く|減っ", "確認でき|比較でき"


@dataclass
class Element:
    """A cell, sentence or alternative text: its words, the rows it names, spans with their rows."""

    kind: str
    rows: tuple[str, ...] = ()
    text: str = ""
    spans: list[tuple[int, str, str]] = field(default_factory=list)  # where, key, text


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[tuple[str, list[list[Element]]]] = []
        self.sentences: list[Element] = []
        self.alts: list[Element] = []
        self.open: list[Element] = []
        self.figure: tuple[str, ...] = ()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        rows = tuple(filter(None, (given.get("data-row") or "").split(";")))
        if tag == "table":
            self.tables.append(("", []))
        elif tag == "tr" and self.tables:
            self.tables[-1][1].append([])
        elif tag in ("td", "th", "caption", "p", "li"):
            self.open.append(Element(tag, rows))
        elif tag == "span" and self.open:
            last = self.open[-1]
            if rows:
                last.spans.append((len(last.text), ";".join(rows), ""))
            last.text += "|" if "interval" in (given.get("class") or "") else ""
        elif tag == "figure":
            self.figure = rows
        elif tag == "img" and given.get("alt"):
            self.alts.append(Element("alt", self.figure, html.unescape(given["alt"])))

    def handle_endtag(self, tag: str) -> None:
        if tag == "span" and self.open and self.open[-1].spans and not self.open[-1].spans[-1][2]:
            place, key, _ = self.open[-1].spans[-1]
            self.open[-1].spans[-1] = (place, key, self.open[-1].text[place:])
        if self.open and self.open[-1].kind == tag:
            done = self.open.pop()
            if tag == "caption":
                self.tables[-1] = (done.text, self.tables[-1][1])
            elif tag in ("td", "th"):
                self.tables[-1][1][-1].append(done)
            else:
                self.sentences.append(done)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1].text += data


def numbers(text: str) -> list[float]:
    """Return the numbers of a text, with their signs."""
    plain = [token.replace(",", "").replace("−", "-") for token in NUMBER.findall(text)]
    return [float(token) for token in plain]


class Contract:
    """A release's rows, by the key that a page names them with, and the labels of everything."""

    def __init__(self, estimates: str, about: dict) -> None:
        """Read estimates.csv as text, and about.json."""
        rows = list(csv.DictReader(estimates.lstrip("\ufeff").splitlines()))
        self.rows = {row.get("row_id") or row_key(row): row for row in rows}
        self.about, self.year = about, about["year"]
        self.gaps = defaultdict(list)
        for row in rows:
            if row["measure"].startswith("difference_points"):
                self.gaps[cell_of(row)].append(row)

    def labels(self, row: dict) -> set[str]:
        """Return every text by which a heading may name what a row is of."""
        variables, indicators = self.about["variables"], self.about["indicators"]
        found = {row["item_label"], "全体" if row["domain"] == "all" else ""}
        codes = variables.get(row["item"], {}).get("nets", {}).get(row["item_value"])
        same = (row["item"], sorted(codes or [row["item_value"]]))
        owners = [
            each
            for name, each in indicators.items()
            if name == row["item"] or (each["item"], sorted(each["item_values"])) == same
        ]
        for own in (variables.get(row["item"], {}), *owners):
            found |= {own.get("label", ""), own.get("short_label", "")}
        values = variables.get(row["item"], {}).get("values", {})
        found.add(values.get(row["item_value"], ""))
        pairs = zip(row["domain"].split(" x "), row["domain_value"].split(" x "), strict=True)
        found.add("・".join(variables.get(n, {}).get("values", {}).get(v, v) for n, v in pairs))
        if " x " in row["item"]:  # two answers to each of two questions
            names = zip(row["item"].split(" x "), row["item_value"].split(" x "), strict=True)
            place = [list(variables[n]["values"]).index(v) for n, v in names]
            found.add([["両方", "孤独のみ"], ["孤立のみ", "どちらでもない"]][place[0]][place[1]])
        if row["table_id"] == "errors":
            found.add(f"{int(row['domain_value']):,}")
        return found - {""}

    def gap_of(self, row: dict) -> dict | None:
        """Return the row of the difference that judges a share."""
        if row["measure"].startswith(("difference", "marginal")):
            return row
        return next(iter(sorted(self.gaps[cell_of(row)], key=lambda gap: not gap["verdict"])), None)

    def check_words(self, text: str, keys: list[str]) -> list[str]:
        """Return the percents and points of a plan's words that no row beside them has.

        What officials typed stands as the reason of its row, word for word.
        """
        cited = [self.rows[key] for key in keys]
        if any(row["table_id"] == "typed_texts" for row in cited):
            return []
        known = [r[n].lstrip("-") for r in cited for n in ("estimate", "lower", "upper") if r[n]]
        told = re.findall(r"([\d,.]+)(?:%|ポイント)", text.replace("95%信頼区間", ""))
        return [f"{n} of no row" for n in told if not any(not same(n, [k]) for k in known)]

    def check_page(self, page: str) -> list[str]:
        """Return what a page says that its rows do not."""
        reader = _Page()
        reader.feed(page)
        wrong = []
        for caption, lines in reader.tables:
            heads = [cell.text for cell in lines[0]] if lines else []
            for line in lines[1:]:
                for head, cell in zip(heads[1:], line[1:], strict=False):
                    for problem in self.check_cell(line, head, cell):
                        wrong.append(f"{caption} / {line[0].text} / {head}: {problem}")
        for sentence in reader.sentences:
            wrong += [f"{sentence.text[:60]}: {p}" for p in self.check_sentence(sentence)]
        for alt in reader.alts:
            wrong += [f"{alt.text[:60]}: {p}" for p in self.check_alt(alt)]
        return wrong

    def check_cell(self, line: list[Element], head: str, cell: Element) -> list[str]:
        """Return what is wrong with a cell under a heading, in a line that begins with a label."""
        if head == "判定":
            cited = [self.rows[key] for other in line for key in other.rows]
            verdicts = {gap["verdict"] for row in cited for gap in self.gaps[cell_of(row)]}
            return [] if cell.text in verdicts or cell.text == "-" else ["verdict of no row"]
        if not cell.rows:
            return ["a number of no row"] if NUMBER.search(cell.text) and head in ANY else []
        row = self.rows[cell.rows[0]]
        text, _, small = cell.text.partition("|")
        if head == "主な答え（%）":  # of one or two rows, each behind its answer
            cited = [self.rows[key] for key in cell.rows]
            said = (
                [each["estimate"] for each in cited],
                [end for each in cited for end in ends(each)],
            )
            return same(re.sub("「.*?」", "", text), said[0]) + same(small, said[1])
        if text.endswith("。") or head in ("担当", "結果"):
            return self.check_words(text, list(cell.rows))
        measure = next((m for h, m in HEADINGS.items() if re.fullmatch(h, head)), None)
        labels, wrong = self.labels(row), []
        # A line of the programmes is named by its indicator, which the ledger ties to the row.
        of_programmes = row["table_id"].startswith(("programme_", "kpi", "typed_texts"))
        of_programmes |= head in ("実績", "測定", "n") or "|" in line[0].text
        if of_programmes and measure is None and head not in ANY:
            measure = ".*"
        if row["status"] == "suppressed":
            wrong.append("a hidden row")
        if measure is None and head not in ANY:
            measure = "percent"
            wrong += [] if head in labels else ["the heading is not what the row is of"]
        measure = ".*" if of_programmes and head == "値" else measure
        if measure and not re.fullmatch(measure, row["measure"]):
            wrong.append(f"{row['measure']} under this heading")
        wave = re.fullmatch(r"(?:前回)?(\d{4})年度?（%）", head)
        if wave and wave[1] != row["wave"]:
            wrong.append(f"wave {row['wave']}")
        variants = {"重みを使わない": "unweighted", "答えのない人を補う": "imputed"}
        if variants.get(head, row["domain_value"]) != row["domain_value"]:
            wrong.append(f"variant {row['domain_value']}")
        first = line[0].text.partition("|")[0].removeprefix("　うち ").removesuffix("（基準）")
        first, is_beside, _ = first.partition("：差 ")  # stands in the label
        is_named = of_programmes or row["item_value"] in ("read", "quarantined", "")
        both = f"{first}・{line[1].text}"  # a group under its heading
        if not {first, both} & labels and not is_named:
            wrong.append(f"line of {sorted(labels)}")
        n = [row["n_unweighted"]]
        said = {"95%信頼区間": ends(row), "区間": ends(row), "n（人）": n, "n (people)": n, "n": n}
        said = said.get(head, [row["estimate"]])
        text = "0" if text in ("広域だけ", "担当なし") else text  # none of the region's own
        wrong += same(text, said) + (same(small, ends(row)) if small else [])
        is_said = row["verdict"] and row["verdict"] in text
        if (
            row["mark"] in tuple(MARKS)
            and row["mark"] not in text
            and not is_beside
            and head not in ANY
            and not is_said
        ):
            wrong.append(f"not marked {row['mark']}")
        beside = (self.rows[key] for key in cell.rows[1:])  # that judges a figure of another wave
        return wrong + self.check_marks(text, row, gap=next(beside, None))

    def check_marks(self, text: str, row: dict, *, gap: dict | None = None) -> list[str]:
        """Return marks and verdicts of a text that are not those of its row."""
        told = "".join(c for c in text if c in MARKS)
        gap = gap or self.gap_of(row)
        judged = {"高い": "▲", "低い": "▽"}.get(row["verdict"], "")  # of the nation
        wrong = [] if told in ("", row["mark"], judged) else [f"marked {told}, row {row['mark']!r}"]
        for verdict in ("高い", "低い", "差は確認できない", "比較できない"):
            if verdict in text and (gap is None or gap["verdict"] != verdict):
                wrong.append(f"said {verdict}")
        return wrong

    def check_sentence(self, sentence: Element) -> list[str]:
        """Return what is wrong with a sentence that names rows: numbers, marks, directions."""
        wrong = []
        for place, named, text in sentence.spans:
            keys = named.split(";")
            row = self.rows[keys[0]]
            if text.rstrip().endswith(("。", ".")):  # words of the plan
                wrong += self.check_words(text, keys)
                continue
            known = [row[n] for n in ("estimate", "lower", "upper", "n_unweighted") if row[n]]
            wrong += [
                f"{n} of no row"
                for n in NUMBER.findall(text)
                if not any(not same(n.lstrip("+−-"), [k.lstrip("-")]) for k in known)
            ]
            after = sentence.text[place + len(text) :]
            mark = re.match(r"(?:（[^）]*）|高い|低い|）)*([▲▽])", after)
            if mark and mark[1] != row["mark"]:
                wrong.append(f"{text} marked {mark[1]}, row {row['mark']!r}")
            near = re.split("。|なり、", after)[0]
            way = re.search(f"(?P<up>{UP})|(?P<down>{DOWN})|{NEITHER}", near)
            gap = self.gap_of(row)
            if way and gap and gap["estimate"]:
                is_up = float(gap["estimate"]) > 0
                wrong += (
                    [f"{text} said {way[0]}"]
                    if way.lastgroup != ("up" if is_up else "down")
                    else []
                )
            names = re.findall("「([^「」]*)」", sentence.text[:place])
            if names and row["domain"] != "all" and names[-1] not in self.labels(row):
                wrong.append(f"{text} named {names[-1]}")
        return wrong

    def check_alt(self, alt: Element) -> list[str]:
        """Return labels with a number, in an alternative text, that no row of the figure has."""
        shown = [r for r in map(self.rows.get, alt.rows) if r["status"] != "suppressed"]
        named = [(row, self.labels(row)) for row in shown if row["estimate"]]
        for row, labels in named:  # 男性：16〜29歳 12%
            labels |= {p for text in labels for p in text.split("・") if " x " in row["domain"]}
        wrong, said = [], re.compile("：差 ([+−]?[\\d.]+)([▲▽]?)（[^）]*）")
        for found in said.finditer(
            alt.text
        ):  # a label with its difference: 話し相手：差 +1.2▲（…）
            fits = [
                row
                for row, labels in named
                if row["measure"] == "difference_points" and row["mark"] == found[2]
                and alt.text[: found.start()].endswith(tuple(labels))
                and not same(found[1].lstrip("+−"), [row["estimate"].lstrip("-")])
            ]  # fmt: skip
            wrong += [] if fits else [found[0]]
        text = said.sub("", alt.text)
        for found in re.finditer(r" ([+\-−]?\d[\d,.]*)([▲▽]?)(?=%|ポイント|（)", text):
            before, number, mark = text[: found.start()], found[1], found[2]
            before = before.removesuffix("（基準）")
            of = [row for row, labels in named if before.endswith(tuple(labels))]
            fits = [r for r in of if not same(number.lstrip("+−-"), [r["estimate"].lstrip("-")])]
            if not fits or (mark and mark not in {row["mark"] for row in fits}):
                wrong.append(f"{before[-20:]} {number}{mark}")
        return wrong

    def check_verdicts(self) -> list[str]:
        """Return figures that have one verdict in one place and another elsewhere.

        A figure is a group's answer: an indicator of one code or net is that answer.
        """
        told = defaultdict(set)
        for row in self.rows.values():
            is_table = row["table_id"].startswith(("cross_", "headline")) and row["item_value"]
            if is_table and row["status"] != "suppressed":
                own = self.about["indicators"].get(row["item"])
                item, codes = row["item"], [row["item_value"]]
                if own:
                    item, codes = own["item"], own["item_values"]
                nets = self.about["variables"].get(item, {}).get("nets", {})
                codes = [c for code in codes for c in nets.get(code, [code])]
                who = (row["domain"], row["domain_value"], row["n_unweighted"])
                told[who, item, *sorted(codes), row["measure"]].add(
                    (row["mark"], row["p_adjusted"])
                )
        return [f"{figure}: {sorted(marks)}" for figure, marks in told.items() if len(marks) > 1]

    def check_nation(self, page: str) -> list[str]:
        """Return what the first conclusion says of nation and last wave that their rows do not."""
        first = re.sub(r"<[^>]+>", "", page.partition(">要点<")[2])[:400]
        name = next(iter(self.about["indicators"]))
        own = self.about["indicators"][name]
        wrong = []
        for other, table in (("全国", "national_"), ("前回", "waves_")):
            said = re.search(f"{other}(?:より(高い|低い)|との(差は確認でき))", first)
            verdicts = {
                row["verdict"]
                for row in self.rows.values()
                if row["table_id"] == table + own["item"] and row["domain"] == "all"
                and [row["item_value"]] == own["item_values"] and row["verdict"]
            }  # fmt: skip
            if said and not any((said[1] or "差は確認できない") == each for each in verdicts):
                wrong.append(f"{said[0]}: {verdicts}")
        return wrong

    def check_workbook(self, sheets: dict[str, list[list]]) -> list[str]:
        """Return cells of a workbook that are not those of the rows that their line names."""
        wrong = []
        for title, lines in sheets.items():
            heads: list[str] = []
            for number, line in enumerate(lines, start=1):
                if "行" in line:
                    heads = line
                    continue
                cells = dict(zip(heads, line, strict=False)) if heads else {"": line[0]}
                keys = [key for key in str(cells.get("行", "")).split(";") if key]
                rows = [self.rows[key] for key in keys if key in self.rows]
                numbers = {h: v for h, v in cells.items() if isinstance(v, int | float)}
                if len(rows) < len(keys) or (not rows and set(numbers) - {"調査年"}):
                    wrong.append(f"{title}:{number} of no row")
                elif "値の種類" in heads:
                    wrong += [f"{title}:{number} {p}" for p in check_line(cells, rows[0])]
                elif rows:
                    for head, told in numbers.items():
                        found = self.check_wide(list(cells.values()), head, told, rows)
                        wrong += [f"{title}:{number} {problem}" for problem in found]
        return wrong

    def check_wide(self, names: list, head: str, told: float, rows: list[dict]) -> list[str]:
        """Return what is wrong with a number under a heading, in a line of several rows."""
        what, end = head.removesuffix(" 下限").removesuffix(" 上限"), head.rpartition(" ")[2]
        mine = [row for row in rows if what in self.labels(row)]
        measure = next((m for h, m in HEADINGS.items() if re.fullmatch(h, what)), None)
        if not mine and measure:
            mine = [row for row in rows if re.fullmatch(measure, row["measure"])]
        column = {"下限": "lower", "上限": "upper"}.get(end, "estimate")
        column = "n_unweighted" if what in ("n（人）", "n") else column
        known = [row for row in mine or rows if row["status"] != "suppressed"]
        true = [float(row[column] or "nan") for row in known]
        true += [round(n, 1) for n in true if known[0]["table_id"] == "weights"]
        if told not in true:
            return [f"{head}: {told} of no row"]
        labels = tuple(set().union(*map(self.labels, known)))
        own = ("programme_", "kpi", "ledger", "weights")  # named by what is no label of a variable
        is_named = any(str(name).removeprefix("　うち ").startswith(labels) for name in names)
        is_named |= what in ("実績", "測定", "n")  # of the ledger's indicator, tied to the row
        is_named |= any(row["table_id"].startswith(own) for row in known)
        return [] if is_named else [f"{head}: a line of {sorted(labels)}"]


def check_line(cells: dict, row: dict) -> list[str]:
    """Return the cells of a line of the list that are not those of its row."""
    columns = {
        "調査年": "wave",
        "値": "estimate",
        "区間の下限": "lower",
        "区間の上限": "upper",
        "n（重み付け前、人）": "n_unweighted",
        "印": "mark",
        "判定": "verdict",
    }
    wrong = []
    for head, name in columns.items():
        told, true = str(cells.get(head, "")), row.get(name, "")
        is_hidden = row["status"] == "suppressed" and told in ("", "x")
        if head in cells and not is_hidden and told != true and same(told, [true]):
            wrong.append(f"{head} {told} for {true}")
    return wrong


def cell_of(row: dict) -> tuple[str, ...]:
    """Return the table, group and answer that a row is of."""
    return tuple(row[n] for n in "wave table_id domain domain_value item item_value".split())


def row_key(row: dict) -> str:
    """Return the name of a row beside its number on the page."""
    names = (name if isinstance(name, str) else f"{name:g}" for name in map(row.get, KEY))
    digest = hashlib.sha256("|".join(names).encode()).digest()
    return "r" + base64.b32encode(digest[:5]).decode().lower()


def ends(row: dict) -> list[str]:
    """Return the ends of a row's interval."""
    return [row["lower"], row["upper"]] if row["lower"] else []


def same(text: str, figures: list[str]) -> list[str]:
    """Return how a text's numbers differ from those of its row, at the digits that it prints."""
    told, tokens = numbers(text), NUMBER.findall(text)
    if len(told) != len(figures) or "" in figures:
        return [] if text in ("x", "…", "-", "") else [f"{text} for {figures}"]
    digits = [len(token.partition(".")[2]) for token in tokens]
    true = [float(figure) for figure in figures]
    off = [abs(t - f) > 0.500001 * 10**-d for t, f, d in zip(told, true, digits, strict=True)]
    return [f"{text} for {figures}"] if any(off) else []
