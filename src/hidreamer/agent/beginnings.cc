#include "hidreamer/agent/beginnings.h"

#include <algorithm>

#include "hidreamer/agent/observation.h"
#include "hidreamer/agent/replay_reader.h"
#include "hidreamer/base/error.h"
#include "hidreamer/config/load.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/imagination/windows.h"

namespace hidreamer::agent {
namespace {

constexpr int64_t kBeginnings = 16;
constexpr int64_t kTries = 1000;
constexpr double kNewestShare = 0.25;

std::filesystem::path BeginningsFile(const std::filesystem::path& run) {
  return run / "agent/beginnings.safetensors";
}

world_model::Steps ChooseInReplay(AgentModels models, const data::ReplayBuffer& replay, Rng rng) {
  const int64_t length = models->options().world_model.context;
  const data::SampleOptions options = {
      .recent_share = 1,
      .recent_steps = static_cast<int64_t>(kNewestShare * static_cast<double>(replay.size()))};
  std::vector<data::WindowStart> starts;
  for (int64_t i = 0; i < kTries && std::ssize(starts) < kBeginnings; ++i) {
    if (!replay.CanSample(length)) {
      break;
    }
    const auto drawn = replay.Sample(1, length, options, rng);
    const auto firsts = replay.Read(drawn, length, /*frames=*/false).firsts;
    if (std::count(firsts.begin() + 1, firsts.end(), 1) == 0) {
      starts.push_back(drawn.front());
    }
  }
  if (starts.empty()) {
    throw UserError("play more steps", "the replay holds no {} steps of one game to begin in",
                    length);
  }
  const data::ReplayBatch windows = replay.Read(starts, length);
  return imagination::ReadWindows(*models, windows, ToTensor(windows.frames));
}

}  // namespace

world_model::Steps ReadBeginnings(AgentModels models, const std::filesystem::path& run) {
  if (std::filesystem::exists(BeginningsFile(run))) {
    const auto tensors = formats::LoadSafetensors(BeginningsFile(run)).tensors;
    try {
      const torch::Tensor codes = tensors.at("codes").to(torch::kLong);
      const torch::Tensor values = models->ValuesOfCodes()(codes.flatten(0, 1));
      return {.codes = codes,
              .values = values.unflatten(0, {codes.size(0), codes.size(1)}),
              .previous_actions = tensors.at("previous_actions").to(torch::kLong),
              .firsts = tensors.at("firsts").to(torch::kBool)};
    } catch (const std::out_of_range&) {
      throw UserError("", "{} holds no beginnings of dreams", BeginningsFile(run).string());
    }
  }
  if (!std::filesystem::exists(run / "replay")) {
    throw UserError("give the directory of hidreamer agent, with its replay, or a published agent",
                    "{} holds nothing to begin a dream in", run.string());
  }
  const auto config = config::LoadConfig(config::kOnline, {.file = run / "config.yaml"});
  data::ReplayBuffer replay(ReplayOf(config));
  replay.Load(run / "replay", replay.SizesIn(run / "replay"));
  return ChooseInReplay(models, replay,
                        SeedTree(static_cast<uint64_t>(config.seed)).Generator("beginnings"));
}

void SaveBeginnings(const world_model::Steps& beginnings, const std::filesystem::path& run) {
  formats::SaveSafetensors(BeginningsFile(run),
                           {{"codes", beginnings.codes.to(torch::kShort)},
                            {"previous_actions", beginnings.previous_actions.to(torch::kShort)},
                            {"firsts", beginnings.firsts.to(torch::kByte)}},
                           {});
}

}  // namespace hidreamer::agent
