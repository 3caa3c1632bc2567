"""What MkDocs calls while it builds the site: links that lead out of docs/ become the path that they lead to."""

import posixpath
import re
from typing import Any

_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<path>\.\./[^)\s]+)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """The page for the site, which holds docs/ and nothing else of the repository."""
    folder = posixpath.dirname(page.file.src_uri)

    def inside(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, found["path"]))
        if path.startswith("docs/"):
            return found[0]
        return found["text"] if found["text"].strip("`") == path else f"{found['text']} (`{path}`)"

    return _LINK.sub(inside, markdown)
