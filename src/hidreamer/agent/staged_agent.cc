#include "hidreamer/agent/staged_agent.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/base/error.h"
#include "hidreamer/config/load.h"

namespace hidreamer::agent {
namespace {

size_t IndexOf(const std::string& game, const std::filesystem::path& run,
               const std::vector<std::string>& games) {
  if (game.empty() && games.size() == 1) {
    return 0;
  }
  const auto found = std::find(games.begin(), games.end(), game);
  if (found == games.end()) {
    throw UserError(games.empty() ? "collect first: hidreamer run CONFIG --out RUN"
                                  : fmt::format("--game with one of {}", fmt::join(games, ", ")),
                    "{} holds recordings of {} games, and one is to be named", run.string(),
                    games.size());
  }
  return static_cast<size_t>(found - games.begin());
}

world_model::WorldOptions WorldOptionsOf(const imagination::PolicyParts& parts,
                                         int64_t word_width) {
  const auto& transformer = parts.world_model->options();
  return {.kind = "token",
          .layout = transformer.layout,
          .value_channels = word_width,
          .mask = world_model::MaskName(transformer.mask),
          .width = transformer.width,
          .layers = transformer.layers,
          .heads = transformer.heads,
          .context = parts.policy->options().context,
          .max_steps = transformer.max_steps};
}

}  // namespace

StagedAgent::StagedAgent(const std::filesystem::path& run, const std::string& game)
    : config_(config::LoadConfig(config::kStaged, {.file = run / "config.yaml"})),
      run_(evaluation::LoadRun(run, config_)),
      parts_(imagination::LoadPolicyParts(run, run_->games.at(IndexOf(game, run, run_->games)))),
      words_("codes", parts_.world_model->options(), imagination::Codebooks(parts_.quantizer)) {
  const evaluation::GameArtefacts& artefacts = run_->artefacts[IndexOf(game, run, run_->games)];
  if (artefacts.tokens == nullptr) {
    throw UserError("hidreamer run CONFIG --out RUN makes them",
                    "{} has no tokens whose frames could be shown", run.string());
  }
  store_ = artefacts.store;
  lookup_.emplace(*artefacts.tokens, parts_.quantizer, artefacts.split.train);
  const imagination::StateFeatures seen(parts_.policy->options().feature,
                                        parts_.world_model->options(),
                                        imagination::Codebooks(parts_.quantizer));
  world_ = std::make_shared<world_model::TokenWorld>(
      WorldOptionsOf(parts_, words_.state_width()), parts_.world_model,
      [this, seen](const world_model::States& states, const torch::Tensor& action_hidden,
                   const torch::Tensor& actions) -> world_model::Outcomes {
        const torch::Tensor outcome = seen.Outcome(Features(states), action_hidden, actions);
        return {.rewards = parts_.policy->reward->forward(outcome),
                .continues = parts_.policy->continues->forward(outcome).squeeze(-1)};
      });
  world_->eval();
}

torch::Tensor StagedAgent::Features(const world_model::States& states) const {
  return parts_.policy->options().feature == "hidden" ? states.hidden : states.codes;
}

Agent::Sight StagedAgent::See(const uint8_t* stack) {
  torch::NoGradGuard no_grad;
  // from_blob does not own: the networks only read.
  const torch::Tensor frames =
      torch::from_blob(const_cast<uint8_t*>(stack),
                       {1, env::kStackDepth, env::kFrameSize, env::kFrameSize}, torch::kUInt8);
  const torch::Tensor codes =
      parts_.quantizer->Encode(parts_.encoder->forward(frames)).unsqueeze(1);  // (1, 1, L)
  return {.codes = codes, .values = ValuesOfCodes()(codes)};
}

world_model::ValuesOfCodes StagedAgent::ValuesOfCodes() const {
  return [words = words_](const torch::Tensor& codes) {
    return words.State({}, codes.squeeze(1)).unsqueeze(-1).unsqueeze(-1);
  };
}

torch::Tensor StagedAgent::Pictures(const torch::Tensor& codes) {
  const auto rows = lookup_->Find(codes.squeeze(1)).rows;
  torch::Tensor pictures =
      torch::empty({codes.size(0), env::kFrameSize, env::kFrameSize}, torch::kUInt8);
  for (size_t i = 0; i < rows.size(); ++i) {
    store_->ReadFrames(rows[i], rows[i] + 1, pictures[static_cast<int64_t>(i)].data_ptr<uint8_t>());
  }
  return pictures;
}

std::shared_ptr<Agent> LoadAgent(const std::filesystem::path& run, const std::string& game) {
  if (!HoldsAgent(run) && std::filesystem::exists(run / "config.yaml")) {
    return std::make_shared<StagedAgent>(run, game);
  }
  const AgentModels models = LoadAgentModels(run);
  if (!game.empty() && game != models->game()) {
    throw UserError("leave --game out", "{} holds an agent for {}, not {}", run.string(),
                    models->game(), game);
  }
  return models.ptr();
}

}  // namespace hidreamer::agent
