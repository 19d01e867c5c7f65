"""One page in a real browser, with the network cut off; the volumes of notebook 07 to visit."""

from pathlib import Path

import nbformat

from tsunagari.report.page import MAIN, Report, export_html

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "07_report_council.ipynb"


def write_page(council: Report, folder: Path, *, is_synthetic: bool = True) -> Path:
    """Write the volumes of notebook 07, its cells filled with what they show."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.endswith("\ncouncil"):
            data = {"text/html": council._repr_html_()}
            cell.outputs = [nbformat.v4.new_output("execute_result", data=data)]
    return write_volumes(notebook, folder, is_synthetic=is_synthetic)


def write_volumes(notebook, folder: Path, *, is_synthetic: bool) -> Path:
    """Write every volume that a notebook shows and return the main one."""
    for name, text in export_html(notebook, is_synthetic=is_synthetic).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder / MAIN


class Visit:
    """One page with everything that it asked for and complained about."""

    def __init__(self, browser, path: Path, *, width: int) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.requests, self.complaints = [], []
        self.page.route("**/*", self._route)
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._close)
        self.page.goto(path.as_uri())

    def _route(self, route) -> None:
        if route.request.is_navigation_request():
            route.continue_()
            return
        self.requests.append(route.request.url[:80])
        route.abort()

    def _close(self, dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)
