"""What MkDocs calls: adds the generated pages and figures, and puts figures into the pages as inline SVG.

``python3 dev.py docs`` builds the site; ``python -m mkdocs serve`` shows it while you write.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

from docs.gen import figures, reference

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

IMAGE = re.compile(r'<p><img alt="(?P<alt>[^"]*)" src="[^"]*figures/(?P<name>[\w-]+)\.svg"\s*/?></p>')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the code says of itself, and the figures."""
    for path, content in {**reference.pages(), **figures.files()}.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the figures into the page: as a part of it they take its font and its colors, in the dark, too."""
    del page, config, files
    return IMAGE.sub(lambda image: figures.inline(image["name"], image["alt"]), html)


def on_post_build(config: MkDocsConfig) -> None:
    """Lay the pages for coding agents beside the site as the Markdown that they are; llms.txt links there."""
    docs, site = Path(config.docs_dir), Path(config.site_dir)
    for page in (*docs.glob("skill/**/*.md"), *docs.glob("tutorials/*.md"), *docs.glob("how-to/*.md")):
        target = site / page.relative_to(docs)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, target)
