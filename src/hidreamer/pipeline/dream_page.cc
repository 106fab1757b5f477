#include "hidreamer/pipeline/dream_page.h"

#include <algorithm>
#include <numeric>

#include "hidreamer/agent/beginnings.h"
#include "hidreamer/agent/replay_reader.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/json_lines.h"
#include "hidreamer/config/load.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/pipeline/trained_agent.h"
#include "hidreamer/policy/action_distribution.h"
#include "hidreamer/report/html.h"
#include "hidreamer/web/dream_page.h"

namespace hidreamer::pipeline {
namespace {

using nlohmann::json;

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

// Of a published agent its 100 games count, of another its newest score in the real game.
json About(const std::filesystem::path& run) {
  if (const json model = ReadModelJson(run); !model.empty()) {
    const json &trained = model.at("trained"), &scored = model.at("scored");
    return {{"game", trained.at("game")},
            {"steps", trained.at("steps")},
            {"seed", trained.at("seed")},
            {"score", scored.at("mean")},
            {"score_error", scored.at("standard_error")},
            {"score_games", scored.at("count")},
            {"random", scored.value(json::json_pointer("/random_recorded/mean"), json())}};
  }
  const auto config = config::LoadConfig(config::kOnline, {.file = run / "config.yaml"});
  const auto sizes = data::ReplayBuffer(agent::ReplayOf(config)).SizesIn(run / "replay");
  json about = {{"game", config.game},
                {"steps", std::accumulate(sizes.begin(), sizes.end(), int64_t{0})},
                {"seed", config.seed}};
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
  return {{"actions", action_names},      {"action_temperature", policy::kScoringTemperature},
          {"options", models->options()}, {"starts", windows},
          {"tensors", tensors},           {"weights", report::Base64(weights)}};
}

std::string DreamPageOf(const std::filesystem::path& run) {
  const agent::AgentModels models = agent::LoadAgentModels(run);
  CheckCanDream(models->options());
  const auto game = env::MakeEnvironment(models->options().game, "atari100k");
  json dream = DescribeDream(models, agent::ReadBeginnings(models, run), game->spec().action_names);
  dream["about"] = About(run);
  return web::DreamPage(dream);
}

}  // namespace hidreamer::pipeline
