"""A report to look at: one HTML file with slider, curves and tables that asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from gesso.errors import InputError
from gesso.evaluation.document import Document
from gesso.evaluation.page.figures import chart, describe
from gesso.evaluation.page.pictures import Gallery, Pair
from gesso.files import replacing

__all__ = ["Pair", "render_page", "save_page"]

SCRIPTS = ("viewer.js", "chart.js", "main.js")
# Before the first paint, so that pictures meant for readers without scripts do not flash.
MARK = 'document.documentElement.className = "js";'

Content = Mapping[str, Any] | Sequence[Mapping[str, Any]]


def save_page(
    path: str | os.PathLike[str], title: str, document: Content, pairs: Sequence[Pair]
) -> None:
    """Write :func:`render_page` as a file, whole or not at all.

    Raises:
        InputError: as there, or the file cannot be written.
    """
    html = render_page(title, document, pairs)
    with replacing(Path(path)) as temporary:
        temporary.write_text(html, encoding="utf-8", newline="\n")


def render_page(title: str, document: Content, pairs: Sequence[Pair]) -> str:
    """One self-contained HTML file.

    Its policy lets nothing run but the scripts it was written with, known by their hashes,
    and nothing load but the pictures inside it. Pictures are lossless; of those above two
    megapixels the page holds the window where the plain one errs most, at its own size.

    Args:
        title: any text; it is escaped, like the names in ``document`` and ``pairs``.
        document: an evaluation document (``Report.to_json()``), or several.
        pairs: what the slider shows, in this order; may be empty.

    Raises:
        InputError: no evaluation document, or a pair whose pictures differ in size.
    """
    import gesso

    contents = [document] if isinstance(document, Mapping) else list(document)
    if not contents:
        raise InputError("a page needs at least one evaluation document")
    documents = [Document.of(content) for content in contents]
    gallery = Gallery.of(pairs)
    style = _read("page.css")
    script = '"use strict";\n' + "".join(_read(name) for name in SCRIPTS)
    html = _template().render(
        title=title,
        version=gesso.__version__,
        policy=_policy([MARK, script], style),
        mark=MARK,
        style=style,
        script=script,
        documents=[describe(one) for one in documents],
        pictures=gallery.pictures,
        content={"pairs": gallery.pairs, **chart(documents)},
    )
    return str(html)


def _template() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise InputError(
            "an HTML report needs the package jinja2; run: pip install 'gesso[evaluate]'"
        ) from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # metrics stay in the order they were asked for
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "allow_nan": False}
    return environment.from_string(_read("page.html"))


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: Sequence[str], style: str) -> str:
    run = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; img-src data:; script-src {run}; "
        f"style-src 'sha256-{_digest(style)}'; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
