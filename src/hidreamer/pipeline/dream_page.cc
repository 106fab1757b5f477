#include "hidreamer/pipeline/dream_page.h"

#include <algorithm>

#include "hidreamer/agent/replay_reader.h"
#include "hidreamer/agent/windows.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/json_lines.h"
#include "hidreamer/config/load.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/report/html.h"
#include "hidreamer/web/dream_page.h"

namespace hidreamer::pipeline {
namespace {

using nlohmann::json;

constexpr int64_t kStarts = 16;
constexpr int64_t kStartTries = 1000;
constexpr double kNewestShare = 0.25;  // of the replay: by then the agent plays

bool IsDreamedWith(const std::string& name) {
  constexpr const char* kUsed[] = {"world_model.", "actor.", "tokenizer.background",
                                   "tokenizer.decoder", "tokenizer.quantizer."};
  const bool used = std::any_of(std::begin(kUsed), std::end(kUsed),
                                [&](const char* prefix) { return name.starts_with(prefix); });
  return used && name.find(".ema_") == std::string::npos;
}

void CheckCanDream(const agent::AgentOptions& options) {
  if (options.world_model.kind != "step") {
    throw UserError("hidreamer play RUN shows it in a browser",
                    "the page dreams with worlds of world_model.kind = step, not {}",
                    options.world_model.kind);
  }
}

// Windows of the replay's newest part that lie within an episode.
world_model::Steps ChooseStarts(agent::AgentModels models, const data::ReplayBuffer& replay,
                                Rng rng) {
  const int64_t length = models->options().world_model.context;
  const data::SampleOptions options = {
      .recent_share = 1,
      .recent_steps = static_cast<int64_t>(kNewestShare * static_cast<double>(replay.size()))};
  std::vector<data::ReplayIndex> starts;
  for (int64_t i = 0; i < kStartTries && std::ssize(starts) < kStarts; ++i) {
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
  return agent::ReadWindows(models, replay.Read(starts, length), torch::kCPU);
}

// With the newest score in the real game, where there was one.
json About(const std::filesystem::path& run, const config::Config& config, int64_t steps) {
  json about = {{"game", config.game}, {"steps", steps}, {"seed", config.seed}};
  for (const json& record : ReadJsonLines(run / "agent" / "metrics.jsonl")) {
    for (const char* name : {"score", "score_error", "score_games"}) {
      if (record.contains(name)) {
        about[name] = record[name];
      }
    }
    about["random"] = record.value("random_score", about.value("random", json()));
  }
  return about;
}

}  // namespace

json DescribeDream(agent::AgentModels models, const world_model::Steps& starts,
                   const std::vector<std::string>& action_names) {
  CheckCanDream(models->options());
  json tensors = json::array(), windows = json::array();
  std::string weights;
  for (const auto& [name, tensor] : formats::NamedState(*models)) {
    if (!IsDreamedWith(name)) {
      continue;
    }
    const torch::Tensor half = tensor.to(torch::kHalf).contiguous();
    if (!torch::isfinite(half).all().item<bool>()) {
      throw UserError("", "{} holds numbers beyond half precision", name);
    }
    weights.append(static_cast<const char*>(half.data_ptr()), half.nbytes());
    tensors.push_back({{"name", name}, {"shape", tensor.sizes().vec()}});
  }
  const auto numbers = [](const torch::Tensor& x) {
    const torch::Tensor whole = x.contiguous();
    return std::vector<int64_t>(whole.data_ptr<int64_t>(),
                                whole.data_ptr<int64_t>() + whole.numel());
  };
  const auto led_here = torch::where(
      starts.firsts, torch::full_like(starts.previous_actions, std::ssize(action_names)),
      starts.previous_actions);
  for (int64_t b = 0; b < starts.windows(); ++b) {
    json codes = json::array();
    for (int64_t t = 0; t < starts.length(); ++t) {
      codes.push_back(numbers(starts.codes[b][t]));
    }
    windows.push_back({{"codes", codes}, {"actions", numbers(led_here[b])}});
  }
  return {{"actions", action_names},
          {"options", models->options()},
          {"starts", windows},
          {"tensors", tensors},
          {"weights", report::Base64(weights)}};
}

std::string DreamPageOf(const std::filesystem::path& run) {
  const agent::AgentModels models = agent::LoadAgentModels(run);
  CheckCanDream(models->options());
  const auto config = config::LoadConfig(config::kOnline, {.file = run / "config.yaml"});
  const auto actions =
      env::MakeEnvironment(config.game, config.collect.protocol)->spec().action_names;
  data::ReplayBuffer replay(agent::ReplayOf(config));
  replay.Load(run / "replay", replay.SizesIn(run / "replay"));
  const SeedTree seeds(static_cast<uint64_t>(config.seed));
  json dream = DescribeDream(
      models, ChooseStarts(models, replay, seeds.Generator("dream_page/starts")), actions);
  dream["about"] = About(run, config, replay.size());
  return web::DreamPage(dream);
}

}  // namespace hidreamer::pipeline
