"""A page in a browser, and everything it did that a page should not do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Opened:
    """A page, and everything it did that a page should not do."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Take down errors, requests and dialogs from now on."""
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url[:200]))
        self.page.on("dialog", self._dialog)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


def opened_in(browser: Any, path: Path, **options: Any) -> Opened:
    """Open a file as from a mail attachment: no server, and no network."""
    page = browser.new_page(viewport={"width": 900, "height": 640}, **options)
    found = Opened(page)
    found.listen()
    page.context.set_offline(True)
    page.goto(path.resolve().as_uri())
    return found
