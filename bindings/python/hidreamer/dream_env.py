"""The dream of an agent as a Gymnasium environment, one or a batch of them.

Pictures are what the agent's tokenizer draws of the dreamed codes, rewards are what the world model
expects, and a dream ends as often as the world model says that the game does.
"""

import gymnasium
import numpy as np
from gymnasium import spaces

from . import Agent, Dream, load

_PICTURE = (64, 64, 1)


def _agent_of(run):
    return run if isinstance(run, Agent) else load(run)


class DreamEnv(gymnasium.Env):
    """One dream. `run`: an Agent, a run directory, or the name of a published agent."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}

    def __init__(self, run, temperature=0.5, render_mode=None):
        self.agent = _agent_of(run)
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0, 255, _PICTURE, np.uint8)
        self.action_space = spaces.Discrete(self.agent.actions)
        self._dream = Dream(self.agent, dreams=1, temperature=temperature)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._dream.reset(int(self.np_random.integers(2**62)))
        return self._observation(), {"codes": self._dream.codes[0]}

    def step(self, action):
        rewards, continues = self._dream.step(np.array([action]))
        over = bool(self.np_random.random() >= continues[0])
        info = {"codes": self._dream.codes[0], "continues": float(continues[0])}
        return self._observation(), float(rewards[0]), over, False, info

    def render(self):
        if self.render_mode == "rgb_array":
            return np.repeat(self._observation(), 3, axis=2)
        return None

    def _observation(self):
        return self._dream.pictures[0][:, :, None]


class DreamVectorEnv(gymnasium.vector.VectorEnv):
    """Dreams side by side: one pass through the world model for all of them.

    A dream that is over begins anew in the step after, as Gymnasium's own vector environments do.
    """

    metadata = {"autoreset_mode": gymnasium.vector.AutoresetMode.NEXT_STEP}

    def __init__(self, run, num_envs=16, temperature=0.5):
        self.agent = _agent_of(run)
        self.num_envs = num_envs
        self.single_observation_space = spaces.Box(0, 255, _PICTURE, np.uint8)
        self.single_action_space = spaces.Discrete(self.agent.actions)
        batch = gymnasium.vector.utils.batch_space
        self.observation_space = batch(self.single_observation_space, num_envs)
        self.action_space = batch(self.single_action_space, num_envs)
        self._dream = Dream(self.agent, dreams=num_envs, temperature=temperature)
        self._over = np.zeros(num_envs, dtype=bool)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._dream.reset(int(self.np_random.integers(2**62)))
        self._over[:] = False
        return self._observations(), {"codes": self._dream.codes}

    def step(self, actions):
        rewards, continues = self._dream.step(np.asarray(actions))
        begun = self._over
        for index in np.flatnonzero(begun):
            self._dream.reset_one(int(index))
        rewards = np.where(begun, 0.0, rewards)
        over = (self.np_random.random(self.num_envs) >= continues) & ~begun
        self._over = over
        info = {"codes": self._dream.codes, "continues": continues}
        return self._observations(), rewards, over, np.zeros(self.num_envs, dtype=bool), info

    def _observations(self):
        return self._dream.pictures[:, :, :, None]
