#include "hidreamer/env/atari_environment.h"

#include <ale/ale_interface.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <optional>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/env/area_resize.h"
#include "hidreamer/env/gray_picture.h"

namespace hidreamer::env {
namespace {

constexpr int kMostNoOps = 30;
// Restoring a saved state leaves parts of the emulated video chip as they were: what was played
// before shows, and in qbert and tetris even changes the game. In these games it was held against a
// freshly loaded ROM and is exact; there it makes a reset a hundred times faster.
constexpr std::array<const char*, 3> kRestoredExactly = {"breakout", "ms_pacman", "pong"};

bool IsRestoredExactly(const std::string& game) {
  return std::find(kRestoredExactly.begin(), kRestoredExactly.end(), game) !=
         kRestoredExactly.end();
}

constexpr const char* kHint = "run scripts/setup for the ROMs, or point --rom-dir at them";

void CheckIsFile(const std::filesystem::path& rom, const std::string& game) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(rom, code)) {
    throw UserError(kHint, "no ROM for '{}': {} is not a file", game, rom.string());
  }
}

// ALE ends the process on a missing or unknown ROM, crashes on a directory and never returns from a
// garbage file with a known name: only a file it knows by its checksum may reach loadROM.
void CheckRom(const std::filesystem::path& rom, const std::string& game) {
  CheckIsFile(rom, game);
  std::optional<std::string> name;
  try {
    name = ale::ALEInterface::isSupportedROM(rom);
  } catch (const std::exception& error) {
    throw UserError(kHint, "cannot read the ROM {}: {}", rom.string(), error.what());
  }
  if (!name) {
    throw UserError(kHint, "{} is not a ROM that the Arcade Learning Environment knows",
                    rom.string());
  }
  if (*name != game) {
    throw UserError(kHint, "{} is the ROM of '{}', not of '{}'", rom.string(), *name, game);
  }
}

std::string ActionName(ale::Action action) {
  const std::string name = ale::action_to_string(action);
  const std::string prefix = "PLAYER_A_";
  return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

}  // namespace

struct AtariEnvironment::Emulator {
  ale::ALEInterface ale;
  std::filesystem::path rom;
  std::vector<ale::Action> actions;                   // of the minimal set, ascending
  ale::Action last = ale::PLAYER_A_NOOP;              // played
  std::array<uint8_t, 256> gray{};                    // of a palette index
  std::array<std::array<uint8_t, 3>, 256> colours{};  // of a palette index
  std::optional<ale::ALEState> start;  // right after ALE's own reset, where restored exactly
  std::vector<uint8_t> start_screen;
  bool loaded = false;                   // and nothing played since
  std::vector<uint8_t> previous_screen;  // palette indices of the frame before the last
  std::vector<uint8_t> picture;          // gray, full size
  std::unique_ptr<AreaResizer> resizer;

  // A console as it comes out of the factory: nothing of what was played before is left.
  void Load() {
    ale.loadROM(rom);
    ale.reset_game();
    loaded = true;
  }

  std::span<const uint8_t> Screen() const {
    const ale::ALEScreen& screen = ale.getScreen();
    return {screen.getArray(), screen.arraySize()};
  }
};

AtariEnvironment::AtariEnvironment(const std::string& game, const std::string& protocol,
                                   const std::filesystem::path& rom, int64_t max_frames)
    : spec_{game, protocol, {}},
      sticky_(protocol == "v5"),
      max_pool_(protocol != "v5"),
      no_ops_(protocol != "v5"),
      max_frames_(max_frames) {
  static std::once_flag quiet;
  std::call_once(quiet, [] { ale::Logger::setMode(ale::Logger::Error); });
  CheckRom(rom, game);
  emulator_ = std::make_unique<Emulator>();
  Emulator& e = *emulator_;
  e.ale.setInt("random_seed", 0);
  e.ale.setInt("frame_skip", 1);
  e.ale.setFloat("repeat_action_probability", 0.0F);  // ours follows from the episode's seed
  e.ale.setInt("max_num_frames_per_episode", static_cast<int>(max_frames));
  e.rom = rom;
  e.Load();
  e.actions = e.ale.getMinimalActionSet();
  std::sort(e.actions.begin(), e.actions.end());
  HID_CHECK(!e.actions.empty(), "{} has no actions", game);
  for (const ale::Action action : e.actions) {
    spec_.action_names.push_back(ActionName(action));
  }
  for (int i = 0; i < 256; ++i) {
    int r = 0;
    int g = 0;
    int b = 0;
    e.ale.theOSystem->colourPalette().getRGB(i, r, g, b);
    e.colours[static_cast<size_t>(i)] = {static_cast<uint8_t>(r), static_cast<uint8_t>(g),
                                         static_cast<uint8_t>(b)};
    e.gray[static_cast<size_t>(i)] =
        static_cast<uint8_t>(std::lround(0.299 * r + 0.587 * g + 0.114 * b));
  }
  const ale::ALEScreen& screen = e.ale.getScreen();
  e.resizer = std::make_unique<AreaResizer>(
      static_cast<int>(screen.height()), static_cast<int>(screen.width()), kFrameSize, kFrameSize);
  e.picture.resize(screen.arraySize());
  if (IsRestoredExactly(game)) {
    e.start = e.ale.cloneState();
    e.start_screen.assign(e.Screen().begin(), e.Screen().end());
  }
}

AtariEnvironment::~AtariEnvironment() = default;

// Every episode starts from one state; the seed decides on no-ops and sticky actions.
void AtariEnvironment::Reset(uint64_t seed) {
  Emulator& e = *emulator_;
  rng_ = Rng(seed);
  if (e.start) {
    e.ale.restoreState(*e.start);
    // ALE's screen is stale after restoreState until the next frame.
    std::copy(e.start_screen.begin(), e.start_screen.end(), e.ale.getScreen().getArray());
  } else if (!e.loaded) {
    CheckIsFile(e.rom, spec_.game);  // ALE would end the process
    e.Load();
  }
  e.loaded = false;
  e.last = ale::PLAYER_A_NOOP;
  playing_ = true;
  if (no_ops_) {
    // Frames for a step are left, however low the limit is.
    const int64_t no_ops =
        std::min<int64_t>(1 + rng_.UniformInt(kMostNoOps), max_frames_ - kFramesPerStep);
    for (int64_t i = 0; i < no_ops; ++i) {
      e.ale.act(ale::PLAYER_A_NOOP);
    }
  }
  e.previous_screen.assign(e.Screen().begin(), e.Screen().end());
  Observe(/*pooled=*/false);
}

StepResult AtariEnvironment::Step(int action) {
  HID_CHECK(playing_, "step after the end of an episode");
  HID_CHECK(action >= 0 && action < num_actions(), "action = {} of {}", action, num_actions());
  Emulator& e = *emulator_;
  StepResult result;
  for (int i = 0; i < kFramesPerStep && !e.ale.game_over(); ++i) {
    if (max_pool_) {
      const std::span<const uint8_t> screen = e.Screen();
      e.previous_screen.assign(screen.begin(), screen.end());
    }
    result.reward += PlayFrame(action);
  }
  Observe(max_pool_);
  result.terminal = e.ale.game_over(/*with_truncation=*/false);
  result.truncated = !result.terminal && e.ale.game_truncated();
  result.lives = e.ale.lives();
  playing_ = !result.terminal && !result.truncated;
  return result;
}

float AtariEnvironment::PlayFrame(int action) {
  Emulator& e = *emulator_;
  if (!sticky_ || !rng_.Bernoulli(kStickyProbability)) {
    e.last = e.actions[static_cast<size_t>(action)];
  }
  return static_cast<float>(e.ale.act(e.last));
}

void AtariEnvironment::Observe(bool pooled) {
  Emulator& e = *emulator_;
  const std::span<const uint8_t> screen = e.Screen();
  DrawGray(screen.data(), pooled ? e.previous_screen.data() : screen.data(), screen.size(), e.gray,
           e.picture.data());
  e.resizer->Resize(e.picture.data(), frame_.data());
  const ale::ALERAM& ram = e.ale.getRAM();
  std::copy_n(ram.array(), kRamBytes, ram_.begin());
}

Screen AtariEnvironment::screen() const {
  const Emulator& e = *emulator_;
  const ale::ALEScreen& shown = e.ale.getScreen();
  Screen screen{.height = static_cast<int>(shown.height()),
                .width = static_cast<int>(shown.width())};
  screen.rgb.reserve(3 * shown.arraySize());
  for (size_t i = 0; i < shown.arraySize(); ++i) {
    const uint8_t now = shown.getArray()[i];
    const uint8_t before = max_pool_ ? e.previous_screen[i] : now;
    const auto& colour = e.colours[e.gray[before] > e.gray[now] ? before : now];
    screen.rgb.insert(screen.rgb.end(), colour.begin(), colour.end());
  }
  return screen;
}

}  // namespace hidreamer::env
