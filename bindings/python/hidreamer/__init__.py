"""Learn to play Atari inside a hierarchical discrete world model, and play in its dreams.

    import hidreamer

    agent = hidreamer.load("pong")            # a published agent, or a run directory
    agent.score(episodes=5)                   # whole games of the real thing
    dream = hidreamer.Dream(agent, dreams=16)
    rewards, continues = dream.step(dream.act())
    dream.pictures                            # (16, 64, 64) uint8

    agent = hidreamer.train("catch", preset="test", out="runs/catch")

With Gymnasium installed, dreams are environments: gymnasium.make("hidreamer/Dream-v0", run="pong").
"""

import os as _os
from pathlib import Path as _Path

# An installed package brings ROMs and published agents along; the user's own variables stay.
for _variable, _folder in (("HIDREAMER_ROM_DIR", "roms"), ("HIDREAMER_MODELS", "models")):
    _path = _Path(__file__).resolve().parent / _folder
    if _path.is_dir():
        _os.environ.setdefault(_variable, str(_path))

from ._core import Agent, Dream, Error, action_names, games, register_game
from ._core import train as _train

__all__ = ["Agent", "Dream", "Error", "action_names", "games", "load", "register_game", "train"]


def load(run):
    """The agent of a run directory, or a published one by its name ("pong").

    Raises Error where there is none.
    """
    return Agent(str(run))


def train(game=None, *, preset="cpu", out=None, steps=None, seed=None, settings=None, force=False):
    """Plays `game` and learns it online, as `hidreamer agent` does; returns the agent.

    game      "pong", "catch", … or a name given to register_game; None: the preset's.
    preset    "cpu", "gpu" or "test".
    out       run directory (None: runs/agent_GAME). One that holds the same training resumes, to
              the bit; one with other settings is refused unless `force` sets it aside.
    steps     agent steps in the real game.
    seed      root of every random choice.
    settings  {"policy.batch": 128, …}; `hidreamer agent --defaults` prints all keys.

    Ctrl-C ends after a checkpoint with KeyboardInterrupt; the same call goes on from there.
    """
    given = {"game": game, "steps": steps, "seed": seed, **(settings or {})}
    given = {key: value for key, value in given.items() if value is not None}
    words = [f"{key}={_text(value)}" for key, value in given.items()]
    if out is None:
        out = _Path("runs") / f"agent_{game or preset}"
    command = f"hidreamer.train(preset={preset!r}, settings={given!r})"
    _train(preset=preset, out=_Path(out), settings=words, command=command, force=force)
    return load(out)


def _text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


try:
    import gymnasium as _gymnasium
except ImportError:
    pass
else:
    _gymnasium.register(
        id="hidreamer/Dream-v0",
        entry_point="hidreamer.dream_env:DreamEnv",
        vector_entry_point="hidreamer.dream_env:DreamVectorEnv",
    )
