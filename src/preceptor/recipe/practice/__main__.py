"""``python -m preceptor.recipe.practice docs``: writes the pages of the practice map."""

from __future__ import annotations

import sys
from pathlib import Path

from preceptor.files import write_text
from preceptor.recipe.practice import TOPICS, pages

if __name__ == "__main__":
    for _name, _text in pages(TOPICS).items():
        write_text(Path(sys.argv[1]) / _name, _text)
