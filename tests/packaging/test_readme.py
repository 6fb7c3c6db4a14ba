"""The README keeps its word: its examples run, its links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


@pytest.mark.parametrize("index", range(len(re.findall(r"^```python$", README, re.MULTILINE))))
def test_example_runs(index, run_python):
    example = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)[index]
    run_python(example)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8"))
    files = [link for link in links if "://" not in link]
    assert [link for link in files if not (document.parent / link).exists()] == []


def test_names_every_variable():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.cpp"))
    read = set(re.findall(r'(?:getenv|from_environment)\("(FASTCONV_\w+)"\)', sources))
    assert read >= {"FASTCONV_ISA", "FASTCONV_NUM_THREADS"}
    assert [name for name in read if f"`{name}`" not in README] == []
