#include "hidreamer/imagination/state_features.h"

#include <vector>

#include "hidreamer/base/error.h"

namespace hidreamer::imagination {

StateFeatures::StateFeatures(const std::string& kind,
                             const world_model::WorldModelOptions& world_model,
                             torch::Tensor codebooks)
    : kind_(kind), world_model_(world_model), codebooks_(std::move(codebooks)) {
  if (kind != "hidden" && kind != "codes") {
    throw UserError("policy.features is hidden or codes", "no features '{}'", kind);
  }
  if (kind == "codes") {
    HID_CHECK(codebooks_.defined() && codebooks_.dim() == 3 &&
                  codebooks_.size(0) == world_model.layout.levels,
              "codebooks (L, V, Dq) are needed");
  }
}

int64_t StateFeatures::state_width() const {
  return world_model_.layout.levels * (needs_hidden() ? world_model_.width : codebooks_.size(2));
}

int64_t StateFeatures::outcome_width() const {
  return state_width() + (needs_hidden() ? world_model_.width : world_model_.layout.actions);
}

torch::Tensor StateFeatures::State(const torch::Tensor& hidden, const torch::Tensor& codes) const {
  if (needs_hidden()) {
    return hidden.flatten(-2);  // (..., L D)
  }
  std::vector<torch::Tensor> words;
  for (int64_t level = 0; level < codebooks_.size(0); ++level) {
    words.push_back(torch::embedding(codebooks_[level], codes.select(-1, level)));  // (..., Dq)
  }
  return torch::cat(words, -1);
}

torch::Tensor StateFeatures::Outcome(const torch::Tensor& state, const torch::Tensor& action_hidden,
                                     const torch::Tensor& actions) const {
  if (needs_hidden()) {
    return torch::cat({state, action_hidden}, -1);
  }
  const auto one_hot =
      torch::nn::functional::one_hot(actions, world_model_.layout.actions).to(state.scalar_type());
  return torch::cat({state, one_hot}, -1);
}

torch::Tensor Codebooks(const tokenizer::ResidualQuantizer& quantizer) {
  std::vector<torch::Tensor> levels;
  for (int64_t level = 0; level < quantizer->options().levels; ++level) {
    levels.push_back(quantizer->level(level)->weight().detach());
  }
  return torch::stack(levels);
}

WindowFeatures FeaturesOfWindows(world_model::WorldModel model, const StateFeatures& features,
                                 const torch::Tensor& tokens, const torch::Tensor& actions) {
  torch::NoGradGuard no_grad;
  torch::Tensor code_hidden, action_hidden;
  if (features.needs_hidden()) {
    const bool was_training = model->is_training();
    model->eval();
    const int64_t levels = tokens.size(2);
    const auto hidden = model->Hidden(tokens, actions)
                            .to(torch::kFloat32)
                            .view({tokens.size(0), tokens.size(1), levels + 1, -1});
    model->train(was_training);
    code_hidden = hidden.narrow(2, 0, levels);  // (B, T, L, D)
    action_hidden = hidden.select(2, levels);   // (B, T, D)
  }
  const auto states = features.State(code_hidden, tokens);
  return {states, features.Outcome(states, action_hidden, actions)};
}

}  // namespace hidreamer::imagination
