"""Agents, their dreams, training and games of Python's. B windows or dreams, T steps, N rows, P places, L levels, V codes
of a level, A actions, F features."""

from os import PathLike
from typing import Any, Callable

import numpy as np
from numpy.typing import NDArray

class Error(RuntimeError):
    """What the caller can mend: a missing run, a bad setting, a game without a ROM."""

class Agent:
    """The networks of a trained agent, to be used on NumPy arrays."""

    def __init__(self, run: str) -> None: ...
    @property
    def run(self) -> str: ...
    @property
    def game(self) -> str: ...
    @property
    def actions(self) -> int:
        """A"""
    @property
    def context(self) -> int:
        """Steps that the world model reads before it dreams."""
    @property
    def max_steps(self) -> int:
        """The longest window that it reads."""
    @property
    def places(self) -> int:
        """P"""
    @property
    def level_codes(self) -> list[int]:
        """V of each level"""
    @property
    def options(self) -> dict[str, Any]:
        """Everything that the networks were built from."""
    def tokenize(self, frames: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Gray frames (N, 64, 64) -> codes (N, P, L)."""
    def decode(self, codes: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Codes (N, P, L) -> pictures (N, 64, 64)."""
    def observe(self, codes: NDArray[np.int64], actions: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """What the agent makes of windows of one episode each: codes (B, T, P, L), actions (B, T) chosen at the steps ->
        features (B, T, F), probabilities (B, T, A) of its next action, values (B, T)."""
    def predict(self, codes: NDArray[np.int64], actions: NDArray[np.int64]) -> dict[str, Any]:
        """What the world model expects in the same windows, each step with the true past given: codes, a list of L logits
        (B, T - 1, P, V) of the steps 1 … T - 1; rewards and continues (B, T) of each step's action."""
    def score(self, episodes: int = 10, seed: int = 0, temperature: float = 0.5) -> list[float]:
        """Scores of whole real games, protocol atari100k. temperature: of the actions; 1 draws them as in training, 0 takes
        the likeliest."""

class Dream:
    """Dreams side by side that go on for as long as one likes. They begin where the agent's own play has been.
    Codes are drawn at a temperature; 0: the likeliest."""

    def __init__(self, agent: Agent, dreams: int = 1, seed: int = 0, temperature: float = 0.5) -> None: ...
    def reset(self, seed: int) -> None: ...
    def reset_one(self, index: int) -> None: ...
    def step(self, actions: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Actions (B) -> expected rewards (B) and the probability (B) that the game goes on."""
    def act(self) -> NDArray[np.int64]:
        """Actions (B) of the agent's actor."""
    @property
    def pictures(self) -> NDArray[np.uint8]:
        """(B, 64, 64)"""
    @property
    def codes(self) -> NDArray[np.int64]:
        """(B, P, L)"""
    @property
    def temperature(self) -> float: ...
    def __len__(self) -> int: ...

def train(preset: str, out: str | PathLike[str], settings: list[str], command: str, force: bool) -> None: ...
def register_game(name: str, make: Callable[[], Any]) -> None:
    """Makes a Gymnasium environment a game that `train` knows: discrete actions, observations that are uint8 pictures
    (H, W), (H, W, 1) or (H, W, 3). `make` is called for each of the games that are played side by side."""

def games() -> list[str]:
    """Games that can be played here."""

def action_names(game: str) -> list[str]: ...
