#include "hidreamer/env/scripted_player.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "hidreamer/base/error.h"
#include "hidreamer/env/registry.h"

namespace hidreamer::env {
namespace {

constexpr std::array<const char*, 3> kPlayerNames = {"random", "mixture", "scripted"};

int Byte(const PlayerView& view, int index) {
  return view.environment->ram()[static_cast<size_t>(index)];
}

int RandomAction(const PlayerView& view, Rng& rng) {
  return static_cast<int>(rng.UniformInt(view.environment->num_actions()));
}

// A point that moves along a line bounces between the walls at `low` and `high`.
int Reflect(int y, int low, int high) {
  const int width = high - low;
  const int phase = ((y - low) % (2 * width) + 2 * width) % (2 * width);
  return low + (phase <= width ? phase : 2 * width - phase);
}

}  // namespace

std::vector<int> RandomPlayer::Act(const std::vector<PlayerView>& views, std::vector<Rng>& rngs) {
  std::vector<int> actions;
  actions.reserve(views.size());
  for (const PlayerView& view : views) {
    actions.push_back(RandomAction(view, rngs[static_cast<size_t>(view.slot)]));
  }
  return actions;
}

std::vector<int> MixturePlayer::Act(const std::vector<PlayerView>& views, std::vector<Rng>& rngs) {
  std::vector<int> actions;
  actions.reserve(views.size());
  for (const PlayerView& view : views) {
    const auto slot = static_cast<size_t>(view.slot);
    if (slot >= episodes_.size()) {
      episodes_.resize(slot + 1);
    }
    Episode& episode = episodes_[slot];
    Rng& rng = rngs[slot];
    if (view.first) {
      episode = Begin(rng);
    }
    const bool at_random = !episode.scripted || rng.Bernoulli(episode.random_share);
    // The script sees every step, so that its memory of the ball stays true.
    const int scripted = episode.scripted ? ActByScript(view, episode, rng) : 0;
    actions.push_back(at_random ? RandomAction(view, rng) : scripted);
  }
  return actions;
}

MixturePlayer::Episode MixturePlayer::Begin(Rng& rng) const {
  Episode episode;
  episode.scripted = !rng.Bernoulli(random_episodes_);
  episode.random_share = rng.Uniform() * most_random_;
  return episode;
}

int MixturePlayer::ActByScript(const PlayerView& view, Episode& episode, Rng& rng) {
  const std::string& game = view.environment->spec().game;
  if (game == "pong") {
    return PlayPong(view, episode, rng);
  }
  if (game == "breakout") {
    return PlayBreakout(view, episode, rng);
  }
  if (game == "catch") {
    return PlayCatch(view);
  }
  if (game == "ms_pacman") {
    return Hold(4, 1, 16, episode, rng);  // UP, RIGHT, LEFT, DOWN
  }
  return Hold(view.environment->num_actions(), 0, 8, episode, rng);
}

// A random action of [first, first + count), held for up to `longest` steps.
int MixturePlayer::Hold(int count, int first, int longest, Episode& episode, Rng& rng) {
  if (episode.hold == 0) {
    episode.held = first + static_cast<int>(rng.UniformInt(count));
    episode.hold = 1 + static_cast<int>(rng.UniformInt(longest));
  }
  --episode.hold;
  return episode.held;
}

// Moves to where the ball will arrive. The paddle goes on for about a step after the button is let
// go. Where on the paddle the ball is to land is drawn anew while the ball flies away, for only a
// ball hit off centre beats the opponent.
int MixturePlayer::PlayPong(const PlayerView& view, Episode& episode, Rng& rng) {
  constexpr int kNoop = 0, kUp = 2, kDown = 3;  // RIGHT moves the paddle up, LEFT down
  constexpr int kBallXByte = 49, kPlayerYByte = 51, kBallYByte = 54;
  constexpr int kPaddleX = 188, kTop = 44, kBottom = 207, kRest = 120;
  constexpr int kDeadZone = 11;  // a single press moves it by 15 to 20
  constexpr int kLowest = -12, kHighest = -8;
  const int ball_x = Byte(view, kBallXByte);
  const int ball_y = Byte(view, kBallYByte);
  const int player_y = Byte(view, kPlayerYByte);
  const int speed_x = ball_x - episode.ball_x;
  const int speed_y = ball_y - episode.ball_y;
  const bool known = ball_y != 0 && episode.ball_y != 0;  // byte 0: no ball on the field
  const int coasting = player_y - episode.player;
  episode.ball_x = ball_x;
  episode.ball_y = ball_y;
  episode.player = player_y;
  int target = kRest;
  if (known && speed_x > 0) {
    const int steps = std::max(0, kPaddleX - ball_x) / speed_x;
    target = Reflect(ball_y + steps * speed_y, kTop, kBottom) + episode.offset;
  } else {
    episode.offset = kLowest + static_cast<int>(rng.UniformInt(kHighest - kLowest + 1));
  }
  const int error = target - player_y - coasting;
  if (std::abs(error) <= kDeadZone) {
    return kNoop;
  }
  return error < 0 ? kUp : kDown;
}

int MixturePlayer::PlayBreakout(const PlayerView& view, Episode& episode, Rng& rng) {
  constexpr int kNoop = 0, kFire = 1, kRight = 2, kLeft = 3;
  constexpr int kBallXByte = 99, kBallYByte = 101, kPlayerXByte = 72;
  const int ball_x = Byte(view, kBallXByte);
  const int ball_y = Byte(view, kBallYByte);
  const bool rising = ball_y <= episode.ball_y;
  if (rising) {
    episode.offset = static_cast<int>(rng.UniformInt(9)) - 4;
  }
  episode.ball_x = ball_x;
  episode.ball_y = ball_y;
  if (ball_y == 0) {
    return kFire;
  }
  const int error = ball_x + episode.offset - Byte(view, kPlayerXByte);
  if (std::abs(error) <= 3) {
    return kNoop;
  }
  return error > 0 ? kRight : kLeft;
}

int MixturePlayer::PlayCatch(const PlayerView& view) {
  constexpr int kStay = 0, kLeft = 1, kRight = 2;
  static const int ball_byte = RamByte("catch", "ball_x");
  static const int paddle_byte = RamByte("catch", "paddle_x");
  const int ball_x = Byte(view, ball_byte);
  const int paddle_x = Byte(view, paddle_byte);
  if (ball_x == paddle_x) {
    return kStay;
  }
  return ball_x < paddle_x ? kLeft : kRight;
}

std::unique_ptr<Player> MakePlayer(const std::string& name) {
  if (name == "random") {
    return std::make_unique<RandomPlayer>();
  }
  if (name == "mixture") {
    return std::make_unique<MixturePlayer>();
  }
  if (name == "scripted") {
    return std::make_unique<MixturePlayer>("scripted", 0.0, 0.1);
  }
  throw UserError("choose random, mixture or scripted", "no player is called '{}'", name);
}

bool IsPlayerName(const std::string& name) {
  for (const char* known : kPlayerNames) {
    if (name == known) {
      return true;
    }
  }
  return false;
}

}  // namespace hidreamer::env
