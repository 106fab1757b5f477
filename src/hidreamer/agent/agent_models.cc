#include "hidreamer/agent/agent_models.h"

#include "hidreamer/agent/observation.h"
#include "hidreamer/base/error.h"
#include "hidreamer/formats/safetensors.h"

namespace hidreamer::agent {
namespace {

std::filesystem::path ModelFile(const std::filesystem::path& run) {
  return run / "agent" / "model.safetensors";
}

int64_t FeatureWidth(const std::string& sees, const world_model::World& world) {
  return (sees == "hidden" ? 0 : world.codes_width()) +
         (sees == "codes" ? 0 : world.hidden_width());
}

}  // namespace

std::string AgentOptions::ToJson() const { return nlohmann::json(*this).dump(); }

AgentOptions AgentOptions::FromJson(const std::string& text) {
  try {
    return nlohmann::json::parse(text).get<AgentOptions>();
  } catch (const nlohmann::json::exception& error) {
    throw UserError("save the agent again", "damaged agent options: {}", error.what());
  }
}

layers::Precision PrecisionOf(const AgentOptions& options) {
  return options.precision == "bf16" ? layers::Precision::kBf16 : layers::Precision::kF32;
}

AgentOptions OptionsOf(const config::Config& config, int64_t actions) {
  AgentOptions options;
  options.game = config.game;
  options.actions = actions;
  options.sees = config.policy.features;
  options.hidden_width = config.policy.hidden_width;
  options.unimix = config.policy.unimix;
  const auto& t = config.tokenizer;
  options.tokenizer = {.frame_size = kObservationSize,
                       .grid = t.grid,
                       .channels = t.channels,
                       .body = t.body,
                       .quantizer = t.quantizer,
                       .fsq_levels = {t.fsq_levels.begin(), t.fsq_levels.end()},
                       .rvq_levels = t.levels,
                       .rvq_codes = t.codes,
                       .rvq_dim = t.dim};
  const auto& w = config.world_model;
  options.world_model = {.kind = w.kind,
                         .layout = {.levels = options.tokenizer.levels(),
                                    .codes = t.codes,
                                    .actions = actions,
                                    .places = options.tokenizer.places(),
                                    .level_codes = options.tokenizer.level_codes()},
                         .value_channels = options.tokenizer.value_channels(),
                         .channels = w.channels,
                         .local_blocks = w.local_blocks,
                         .local_path = w.local_path,
                         .local_frames = w.local_frames,
                         .depth_head = w.depth_head,
                         .mask = w.mask,
                         .changed_weight = w.calibrated ? w.changed_weight : 1,
                         .width = w.width,
                         .layers = w.layers,
                         .heads = w.heads,
                         .context = config.policy.context,
                         .max_steps = w.window,
                         .reward_bins = policy::ScalarCoding::kBins};
  return options;
}

AgentModelsImpl::AgentModelsImpl(const AgentOptions& options)
    : ActorCritic("two_hot"), options_(options) {
  tokenizer = register_module("tokenizer", tokenizer::SpatialTokenizer(options.tokenizer));
  world_model = register_module("world_model", world_model::MakeWorld(options.world_model));
  Build({.features = FeatureWidth(options.sees, *world_model),
         .hidden_width = options.hidden_width,
         .actions = options.actions,
         .unimix = options.unimix});
}

torch::Tensor AgentModelsImpl::Features(const world_model::States& states) const {
  if (options_.sees == "hidden") {
    return states.hidden;
  }
  return options_.sees == "codes" ? states.codes : torch::cat({states.codes, states.hidden}, -1);
}

world_model::ValuesOfCodes AgentModelsImpl::ValuesOfCodes() const {
  return [tokenizer = tokenizer](const torch::Tensor& codes) { return tokenizer->Values(codes); };
}

torch::Device AgentModelsImpl::device() const { return actor->parameters().front().device(); }

torch::Tensor AgentModelsImpl::Frames(const std::vector<env::PlayerView>& games) {
  std::vector<uint8_t> pixels(games.size() * kObservationBytes);
  Observer observer;
  for (size_t i = 0; i < games.size(); ++i) {
    observer.Observe(games[i].environment->frame(), pixels.data() + i * kObservationBytes);
  }
  return ToTensor(pixels, device());
}

torch::Tensor AgentModelsImpl::Frames(const data::EpisodeStore& recording,
                                      const std::vector<int64_t>& rows) {
  return ToTensor(ObserveRows(recording, rows), device());
}

imagination::Agent::Sight AgentModelsImpl::See(const torch::Tensor& frames) {
  const tokenizer::SpatialCodes seen = tokenizer->Encode(frames);
  return {.codes = seen.codes, .values = seen.values};
}

torch::Tensor AgentModelsImpl::Pictures(const torch::Tensor& codes) {
  torch::NoGradGuard no_grad;
  return tokenizer->Decode(tokenizer->Values(codes))
      .clamp(0, 1)
      .mul(255)
      .round()
      .to(torch::kUInt8)
      .squeeze(1);
}

bool HoldsAgent(const std::filesystem::path& run) {
  return std::filesystem::exists(ModelFile(run));
}

AgentModels LoadAgentModels(const std::filesystem::path& run) {
  if (!HoldsAgent(run)) {
    throw UserError("hidreamer agent makes one", "{} holds no finished agent", run.string());
  }
  formats::SafetensorsFile file = formats::LoadSafetensors(ModelFile(run));
  const auto entry = file.metadata.find("options");
  if (entry == file.metadata.end()) {
    throw UserError("give the directory of hidreamer agent", "{} is no agent's",
                    ModelFile(run).string());
  }
  if (const auto slow = file.tensors.lower_bound(kSlowCritic);
      slow == file.tensors.end() || !slow->first.starts_with(kSlowCritic)) {
    formats::InsertWithPrefix(file.tensors, formats::WithoutPrefix(file.tensors, "critic."),
                              kSlowCritic);
  }
  AgentModels models(AgentOptions::FromJson(entry->second));
  formats::LoadNamedState(*models, file.tensors);
  models->eval();
  return models;
}

}  // namespace hidreamer::agent
