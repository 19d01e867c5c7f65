"""The notebooks in a real JupyterLab: Run All, Japanese tables, and errors as one sentence."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tsunagari import synthetic
from tsunagari.run import release

pytestmark = pytest.mark.slow

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
TOKEN = "notebooks-under-test"
SETTINGS = {  # every cell is in the page, and nothing asks the internet for news
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
}
NO_NEWS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Return the address of a JupyterLab on copies of the notebooks, with a small study."""
    root, home = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("home")
    synthetic.write_small_study(root, n=600, seed=3)
    shutil.copytree(NOTEBOOKS, root / "notebooks")
    copy = (NOTEBOOKS / "01_clean_responses.ipynb").read_text(encoding="utf-8")
    misspelt = copy.replace('STUDY: str = \\"ehime\\"', 'STUDY: str = \\"ehmie\\"')
    (root / "notebooks/misspelt.ipynb").write_text(misspelt, encoding="utf-8")
    for name, text in {**{f"settings/{k}": v for k, v in SETTINGS.items()},
                       "config/labconfig/page_config.json": NO_NEWS}.items():  # fmt: skip
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(text), encoding="utf-8")
    places = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTER_CONFIG_DIR": "config",
              "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTERLAB_WORKSPACES_DIR": "spaces",
              "IPYTHONDIR": "ipython"}  # fmt: skip
    own = {name: str(home / place) for name, place in places.items()}
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--port=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={root / 'notebooks'}",
    ]
    log = home / "log"
    with log.open("w") as file:
        server = subprocess.Popen(command, env=os.environ | own | {"TSUNAGARI_ROOT": str(root)},
                                  stdout=file, stderr=file)  # fmt: skip
    try:
        yield address(log, server), root
    finally:
        server.terminate()
        server.wait(30)


def address(log: Path, server: subprocess.Popen) -> str:
    for _ in range(240):
        assert server.poll() is None, log.read_text()[-800:]
        if found := re.search(r"http://(?:localhost|127\.0\.0\.1):(\d+)/", log.read_text()):
            url = f"http://127.0.0.1:{found[1]}"
            with urllib.request.urlopen(f"{url}/api/status?token={TOKEN}"):
                return url
        time.sleep(0.5)
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-800:]}")


def wait_for_kernel(url: str, name: str) -> None:
    """Wait until the notebook's kernel answers: Lab asks for one where it is run before."""
    for _ in range(240):
        with urllib.request.urlopen(f"{url}/api/sessions?token={TOKEN}") as answer:
            sessions = json.load(answer)
        own = [each["kernel"] for each in sessions if name in each["path"]]
        if own and own[0]["execution_state"] == "idle" and own[0]["connections"]:
            return
        time.sleep(0.5)
    pytest.fail(f"no kernel for {name}")


def run_menu(page, item: str) -> None:
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{item}$")).click()


def run_all(browser, url: str, name: str):
    """Open a notebook, run all of it and return the page and what it asked of other machines."""
    page, asked = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.on("request", lambda r: asked.append(r.url) if r.url.startswith("http") else None)
    page.goto(f"{url}/lab/tree/{name}.ipynb?token={TOKEN}&reset")
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=120_000)
    wait_for_kernel(url, name)
    run_menu(page, "Run All Cells")
    is_done = """() => {
        const cells = [...document.querySelectorAll('.jp-NotebookPanel .jp-CodeCell')];
        const prompts = cells.map(c => c.querySelector('.jp-InputPrompt').textContent.trim());
        const failed = document.querySelector('[data-mime-type="application/vnd.jupyter.stderr"]');
        return prompts.length && !prompts.some(p => p.includes('*'))
            && (failed || prompts.every(p => /\\[\\d+\\]/.test(p)));
    }"""
    page.wait_for_function(is_done, timeout=120_000)
    return page, [each for each in asked if not each.startswith(url)]


def errors(page) -> list[str]:
    found = page.locator('[data-mime-type="application/vnd.jupyter.stderr"]')
    return [text.strip() for text in found.all_inner_texts()]


def test_run_all_shows_japanese_tables_under_the_banner(browser, lab):
    page, asked = run_all(browser, lab[0], "01_clean_responses")
    assert errors(page) == []
    heads = page.locator(".jp-NotebookPanel .tsunagari thead th").all_inner_texts()
    assert len(heads) > 5
    assert [text for text in heads if not re.search("[ぁ-んァ-ヶ一-龠]|^n$", text)] == []
    tables = page.locator(".jp-NotebookPanel .tsunagari table").count()
    assert page.locator(".jp-NotebookPanel .tsunagari caption .stamp").count() == tables > 3
    pictures = page.locator(".jp-NotebookPanel figure.chart")
    assert all("合成データ" in text for text in pictures.all_inner_texts())
    assert asked == []
    page.close()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("misspelt", "調査「ehmie」はありません"),
        ("04_model_factors", "がまだありません。前のノートブックを先に実行"),
    ],
)
def test_an_error_is_a_sentence_with_its_traceback_folded(browser, lab, name, told):
    page, _ = run_all(browser, lab[0], name)
    (said,) = errors(page)
    assert told in said and "Traceback" not in said and len(said.splitlines()) <= 3
    fold = page.locator(".jp-OutputArea-output details")
    assert fold.count() == 1 and fold.get_attribute("open") is None
    assert not fold.locator("pre").is_visible()
    assert "Traceback" in fold.locator("pre").text_content()
    page.close()


def test_a_notebook_whose_steps_are_missing_offers_the_cell_that_runs_them(browser, lab):
    made = lab[1] / "data/processed/ehime/2022/private/respondents.parquet"
    made.unlink(missing_ok=True)
    page, _ = run_all(browser, lab[0], "02_weight_respondents")
    assert "前の手順がまだか" in page.locator(".jp-NotebookPanel .tsunagari").first.inner_text()
    offered = page.locator(".jp-CodeCell", has_text="session.run_before(")
    assert offered.count() == 1
    offered.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    offered.locator("text=行いました：01_clean_responses").wait_for(timeout=120_000)
    run_menu(page, "Run All Cells")
    saved = page.locator(".jp-CodeCell .tsunagari", has_text="重みの合計（人）")
    saved.wait_for(timeout=120_000)
    assert errors(page) == []
    assert "前の手順がまだか" not in page.locator(".jp-NotebookPanel .tsunagari").first.inner_text()
    page.close()


def test_a_run_elsewhere_and_a_changed_codebook_are_told_in_a_sentence(browser, lab):
    folder = lab[1] / "data/processed/ehime"
    (folder / "2022/private/respondents.parquet").unlink(missing_ok=True)
    book = lab[1] / "data/raw/ehime/codebook.csv"
    with release.locked(folder / "2022"):
        page, _ = run_all(browser, lab[0], "02_weight_respondents")
        offered = page.locator(".jp-CodeCell", has_text="session.run_before(")
        offered.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        said = offered.locator('[data-mime-type="application/vnd.jupyter.stderr"]')
        said.wait_for(timeout=120_000)
        assert "E-LOCKED" in said.inner_text() and "Traceback" not in said.inner_text()
        page.close()
    kept = book.read_bytes()
    try:
        book.write_bytes(kept.replace(",region,region,SA,".encode(), ",region,region,SB,".encode()))
        page, _ = run_all(browser, lab[0], "01_clean_responses")
        (said,) = errors(page)
        assert "codebook.csv" in said and "5 行目 type" in said and "Traceback" not in said
        page.close()
    finally:
        book.write_bytes(kept)
