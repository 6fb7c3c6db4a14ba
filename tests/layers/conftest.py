import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def lectures():
    """The worked examples of the lectures; see `about` in the file."""
    return json.loads((Path(__file__).parents[1] / "lecture_examples.json").read_text())
