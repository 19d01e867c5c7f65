"""One page in a real browser, with the network cut off."""

from pathlib import Path


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
