#include "hidreamer/policy/policy_model.h"

#include <nlohmann/json.hpp>

#include "hidreamer/base/error.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/formats/tensor_map.h"

namespace hidreamer::policy {
namespace {

constexpr char kOptionsKey[] = "options";

}  // namespace

std::string PolicyModelOptions::ToJson() const {
  return nlohmann::json{{"game", game},
                        {"feature", feature},
                        {"scalars", scalars},
                        {"feature_width", feature_width},
                        {"outcome_width", outcome_width},
                        {"hidden_width", hidden_width},
                        {"actions", actions},
                        {"cpc_width", cpc_width},
                        {"cpc_steps", cpc_steps},
                        {"unimix", unimix},
                        {"context", context},
                        {"horizon", horizon}}
      .dump();
}

PolicyModelOptions PolicyModelOptions::FromJson(const std::string& text) {
  PolicyModelOptions options;
  try {
    const auto json = nlohmann::json::parse(text);
    json.at("game").get_to(options.game);
    json.at("feature").get_to(options.feature);
    json.at("scalars").get_to(options.scalars);
    json.at("feature_width").get_to(options.feature_width);
    json.at("outcome_width").get_to(options.outcome_width);
    json.at("hidden_width").get_to(options.hidden_width);
    json.at("actions").get_to(options.actions);
    json.at("cpc_width").get_to(options.cpc_width);
    json.at("cpc_steps").get_to(options.cpc_steps);
    json.at("unimix").get_to(options.unimix);
    json.at("context").get_to(options.context);
    json.at("horizon").get_to(options.horizon);
  } catch (const nlohmann::json::exception& error) {
    throw UserError("is this a policy's model.safetensors?", "options of a policy: {}",
                    error.what());
  }
  return options;
}

PolicyModelImpl::PolicyModelImpl(const PolicyModelOptions& options)
    : ActorCritic(options.scalars), options_(options) {
  Build({.features = options.feature_width,
         .hidden_width = options.hidden_width,
         .actions = options.actions,
         .unimix = options.unimix,
         .extractor = true,
         .cpc_width = options.cpc_width,
         .cpc_steps = options.cpc_steps});
  const int64_t hidden = options.hidden_width;
  reward = register_module("reward", MlpHead(options.outcome_width, hidden, scalars().outputs()));
  continues = register_module("continue", MlpHead(options.outcome_width, hidden, 1));
  reward->ZeroOutput();
}

torch::Tensor PolicyModelImpl::Reward(const torch::Tensor& outcome) {
  return scalars().Value(reward->forward(outcome));
}

torch::Tensor PolicyModelImpl::Continue(const torch::Tensor& outcome) {
  return torch::sigmoid(continues->forward(outcome).squeeze(-1));
}

void SavePolicyModel(const PolicyModel& model, const std::filesystem::path& path) {
  formats::SaveSafetensors(path, formats::NamedState(*model),
                           {{kOptionsKey, model->options().ToJson()}});
}

PolicyModel LoadPolicyModel(const std::filesystem::path& path) {
  const auto file = formats::LoadSafetensors(path);
  const auto options = file.metadata.find(kOptionsKey);
  if (options == file.metadata.end()) {
    throw UserError("is this a policy's model.safetensors?", "{} carries no options",
                    path.string());
  }
  PolicyModel model(PolicyModelOptions::FromJson(options->second));
  formats::LoadNamedState(*model, file.tensors);
  model->eval();
  return model;
}

}  // namespace hidreamer::policy
