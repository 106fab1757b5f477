"""The examples run as they are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/python"


def test_a_game_of_ones_own_is_learned(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "learn.py", tmp_path / "run", "steps=1200", "threads=1"]
        + ["tokenizer.warmup_updates=20", "evaluation.times=1", "evaluation.episodes=2"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "20 dreamed steps pay" in done.stdout


def test_the_notebook_ends_with_a_picture():
    pillow = pytest.importorskip("PIL.Image")
    cells = json.loads((EXAMPLES / "dream.ipynb").read_text())["cells"]
    names = {}
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    for source in code:
        exec(source, names)
    picture = eval(code[-1].splitlines()[-1], names)
    assert isinstance(picture, pillow.Image)
    assert picture.size == (512, 512)
    assert len(set(picture.tobytes())) > 10
