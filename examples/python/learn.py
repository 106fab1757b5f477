"""Learns a small game of your own, then plays it and dreams of it.  Usage: learn.py RUN [KEY=VALUE …]"""

import sys

import gymnasium
import numpy as np

import hidreamer


class Rain(gymnasium.Env):
    """A roof at the bottom catches drops: 1 for each that it meets, -1 for each that it misses."""

    observation_space = gymnasium.spaces.Box(0, 255, (12, 16), np.uint8)
    action_space = gymnasium.spaces.Discrete(3)  # stay, left, right

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.roof, self.left = 6, 10
        self._next_drop()
        return self._picture(), {}

    def step(self, action):
        self.roof = min(max(self.roof + (0, -1, 1)[action], 0), 12)
        self.y += 1
        reward = 0.0
        if self.y == 11:
            reward = 1.0 if self.roof <= self.x < self.roof + 4 else -1.0
            self.left -= 1
            self._next_drop()
        return self._picture(), reward, self.left == 0, False, {}

    def _next_drop(self):
        self.x, self.y = int(self.np_random.integers(16)), 0

    def _picture(self):
        picture = np.zeros((12, 16), np.uint8)
        picture[11, self.roof : self.roof + 4] = 150
        picture[self.y, self.x] = 255
        return picture


hidreamer.register_game("rain", Rain)
settings = dict(word.split("=") for word in sys.argv[2:])  # "steps=3000"; hidreamer agent --defaults names all keys
agent = hidreamer.train("rain", preset="test", out=sys.argv[1], settings=settings)
print("scores in the game:", agent.score(episodes=5))

dream = hidreamer.Dream(agent, dreams=100)
scores = sum(dream.step(dream.act())[0] for _ in range(20))
print(f"20 dreamed steps pay {scores.mean():.2f} on average")
