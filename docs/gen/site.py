"""What MkDocs calls: adds the generated pages and figures, and puts figures into the pages as inline SVG.

``python3 dev.py docs`` builds the site; ``python -m mkdocs serve`` shows it while you write.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

from docs.gen import figures, reference

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

INCLUDE = re.compile(r"<!-- include (?P<file>\S+) (?P<title>[^>]+?) -->")
IMAGE = re.compile(r'<p><img alt="(?P<alt>[^"]*)" src="[^"]*figures/(?P<name>[\w-]+)\.svg"\s*/?></p>')


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the guides that the navigation does not name."""
    guides: list[Any] = next(entry["How-to guides"] for entry in config.nav or () if "How-to guides" in entry)
    named = {path for guide in guides for path in ([guide] if isinstance(guide, str) else guide.values())}
    docs = Path(config.docs_dir)
    guides += sorted({path.relative_to(docs).as_posix() for path in docs.glob("how-to/*.md")} - named)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the code says of itself, and the figures."""
    for path, content in {**reference.pages(), **figures.files()}.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put sections of the READMEs in their places, so that a figure stands in one file only."""
    del page, files
    root = Path(config.config_file_path).parent
    return INCLUDE.sub(lambda found: included(root / found["file"], found["title"]), markdown)


def included(path: Path, title: str) -> str:
    """Return the text of a section of a file, without its heading."""
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise PluginError(f"{path} has no section {title!r}; the page that includes it has to change, too.")
    return found[2].strip()


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
