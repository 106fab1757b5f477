"""The Python package as its users have it, on an agent that has learned next to nothing."""

import os
import pickle
import signal
import threading

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import hidreamer

TINY = {
    "threads": 1,
    "collect.prefill": 256,
    "collect.steps_per_update": 64,
    "evaluation.times": 1,
    "evaluation.episodes": 0,
    "tokenizer.batch": 8,
    "tokenizer.warmup_updates": 10,
    "world_model.batch": 4,
    "policy.batch": 8,
    "policy.start_after": 2,
}


def learn(out, game=None, **more):
    return hidreamer.train(game, preset="test", out=out, steps=640, seed=5, settings={**TINY, **more})


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    return learn(tmp_path_factory.mktemp("runs") / "catch")


@pytest.fixture
def window(agent):
    """Codes (2, 5, P, L) and actions (2, 5) of two dreams."""
    dream = hidreamer.Dream(agent, dreams=2)
    codes, actions = [], []
    for _ in range(5):
        codes.append(dream.codes)
        actions.append(dream.act())
        dream.step(actions[-1])
    return np.stack(codes, axis=1), np.stack(actions, axis=1)


def test_an_agent_says_what_it_is(agent):
    assert (agent.game, agent.actions) == ("catch", 3)
    assert agent.options["game"] == "catch"
    assert "catch" in hidreamer.games()
    assert hidreamer.action_names("catch") == ["STAY", "LEFT", "RIGHT"]


def test_an_agent_can_go_to_another_process(agent):
    other = pickle.loads(pickle.dumps(agent))
    frames = np.full((1, 64, 64), 100, np.uint8)
    assert (other.tokenize(frames) == agent.tokenize(frames)).all()


def test_pictures_become_codes_and_codes_pictures(agent):
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    codes = agent.tokenize(frames)
    assert codes.shape == (3, agent.places, len(agent.level_codes))
    assert codes.dtype == np.int64
    assert (codes < agent.level_codes).all()
    pictures = agent.decode(codes)
    assert (pictures.shape, pictures.dtype) == ((3, 64, 64), np.uint8)
    assert (agent.tokenize(frames[1:2]) == codes[1:2]).all()


def test_results_are_views_of_the_networks_own_memory(agent):
    codes = agent.tokenize(np.zeros((1, 64, 64), np.uint8))
    assert not codes.flags.owndata
    kept = codes.copy()
    agent.tokenize(np.full((1, 64, 64), 255, np.uint8))
    assert (codes == kept).all()


def test_the_world_model_predicts_and_the_actor_judges_windows(agent, window):
    codes, actions = window
    seen = agent.observe(codes, actions)
    assert seen["probabilities"].shape == (2, 5, 3)
    assert seen["probabilities"].sum(-1) == pytest.approx(np.ones((2, 5)), abs=1e-5)
    assert seen["values"].shape == (2, 5)
    predicted = agent.predict(codes, actions)
    assert [level.shape for level in predicted["codes"]] == [
        (2, 4, agent.places, count) for count in agent.level_codes
    ]
    assert predicted["rewards"].shape == predicted["continues"].shape == (2, 5)
    assert ((predicted["continues"] >= 0) & (predicted["continues"] <= 1)).all()


def test_a_later_step_does_not_change_what_was_predicted_before(agent, window):
    codes, actions = window
    changed = codes.copy()
    changed[:, -1] = 0
    before, after = (agent.predict(c, actions)["codes"][0][:, :3] for c in (codes, changed))
    assert before == pytest.approx(after, abs=1e-4)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda a, c, u: a.tokenize(np.zeros((64, 64), np.uint8)), r"\(N, 64, 64\)"),
        (lambda a, c, u: a.decode(c), r"\(N, P, L\)"),
        (lambda a, c, u: a.decode(c[0] + 10_000), "codes of level 0"),
        (lambda a, c, u: a.predict(c, u + 3), r"actions are in \[0, 3\)"),
        (lambda a, c, u: a.predict(c, u[:, 1:]), r"\(B, T\)"),
        (lambda a, c, u: a.predict(np.tile(c, (1, 30, 1, 1)), np.tile(u, (1, 30))), "reads at most"),
        (lambda a, c, u: hidreamer.Dream(a).step(np.array([3])), r"actions are in \[0, 3\)"),
        (lambda a, c, u: hidreamer.Dream(a, dreams=0), "at least one"),
    ],
)
def test_what_makes_no_sense_is_refused(agent, window, call, message):
    with pytest.raises(ValueError, match=message):
        call(agent, *window)


def test_a_run_that_is_not_there_is_an_error_with_a_hint():
    with pytest.raises(hidreamer.Error, match="hint"):
        hidreamer.load("nowhere")


def test_dreams_follow_from_their_seed_and_go_on(agent):
    def play(seed):
        dream = hidreamer.Dream(agent, dreams=4, seed=seed)
        steps = [dream.step(dream.act()) for _ in range(2 * agent.max_steps)]
        return np.stack([rewards for rewards, _ in steps]), dream.codes

    rewards, codes = play(1)
    again, same_codes = play(1)
    assert (rewards == again).all() and (codes == same_codes).all()
    assert (play(2)[1] != codes).any()


def test_one_dream_begins_anew_and_leaves_the_others_alone(agent):
    dream = hidreamer.Dream(agent, dreams=3, seed=1)
    for _ in range(3):
        dream.step(dream.act())
    before = dream.codes
    dream.reset_one(1)
    assert (dream.codes[[0, 2]] == before[[0, 2]]).all()
    dream.step(dream.act())


def test_gymnasiums_own_checker_is_content(agent):
    env = gymnasium.make("hidreamer/Dream-v0", run=agent)
    check_env(env.unwrapped, skip_render_check=True)
    picture, info = env.reset(seed=3)
    assert picture.shape == (64, 64, 1)
    picture, reward, terminated, truncated, info = env.step(env.action_space.sample())
    assert isinstance(reward, float) and not truncated
    assert 0 <= info["continues"] <= 1


def test_a_batch_of_dreams_is_a_vector_environment(agent):
    envs = gymnasium.make_vec("hidreamer/Dream-v0", num_envs=5, run=agent)
    pictures, _ = envs.reset(seed=3)
    assert pictures.shape == (5, 64, 64, 1)
    ended = 0
    for _ in range(60):
        pictures, rewards, terminated, truncated, info = envs.step(envs.action_space.sample())
        assert rewards.shape == (5,)
        ended += int(terminated.sum())
    assert pictures in envs.observation_space


def test_an_agent_is_scored_in_the_real_game(agent):
    scores = agent.score(episodes=3, seed=1)
    assert len(scores) == 3 and all(-10 <= score <= 10 for score in scores)
    assert agent.score(episodes=3, seed=1) == scores


class Dot(gymnasium.Env):
    """A dot on a small picture; the right corner pays."""

    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(0, 255, (12, 20, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.left = int(self.np_random.integers(20)), 15
        return self._picture(), {}

    def step(self, action):
        self.x = min(max(self.x + (1 if action else -1), 0), 19)
        self.left -= 1
        return self._picture(), float(self.x == 19), self.left == 0, False, {}

    def _picture(self):
        picture = np.zeros((12, 20, 3), np.uint8)
        picture[6, self.x] = (255, 200, 100)
        return picture


def test_a_gymnasium_environment_is_a_game_to_learn(tmp_path):
    hidreamer.register_game("dot", Dot)
    assert "dot" in hidreamer.games()
    agent = learn(tmp_path / "dot", "dot", threads=2)
    assert (agent.game, agent.actions) == ("dot", 2)
    scores = agent.score(episodes=2)
    assert all(0 <= score <= 15 for score in scores)
    with pytest.raises(ValueError, match="is a game already"):
        hidreamer.register_game("catch", Dot)


def test_ctrl_c_ends_training_after_a_checkpoint_and_the_same_call_goes_on(tmp_path):
    def run():
        return hidreamer.train(preset="test", out=tmp_path / "long", steps=40_000, settings=TINY)

    timer = threading.Timer(4, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run()
    timer.join()
    assert any((tmp_path / "long/agent/checkpoints").iterdir())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
