#include "hidreamer/world_model/code_roller.h"

#include <utility>
#include <vector>

#include "hidreamer/world_model/world.h"

namespace hidreamer::world_model {

CodeRoller::CodeRoller(WorldModel model, Decoder& decoder, double changed_weight)
    : model_(std::move(model)), decoder_(decoder), changed_weight_(changed_weight) {}

void CodeRoller::Start(const torch::Tensor& tokens, const torch::Tensor& actions) {
  torch::NoGradGuard no_grad;
  decoder_.Reset();
  hidden_ = decoder_.Prefill(tokens, actions).clone();
  tokens_ = tokens.select(1, tokens.size(1) - 1);
}

torch::Tensor CodeRoller::Advance(const torch::Tensor& actions, double temperature,
                                  const torch::Tensor& uniforms) {
  torch::NoGradGuard no_grad;
  const TokenLayout& layout = model_->options().layout;
  const auto action_hidden = decoder_.PushAction(actions).clone();  // (B, D)
  std::vector<torch::Tensor> codes, hidden;
  auto last = action_hidden;
  for (int64_t slot = 0; slot < layout.code_slots(); ++slot) {
    const auto logits = model_->Logits(layout.level_of(slot), last).to(torch::kFloat32);  // (B, V)
    codes.push_back(DrawCodes(logits, tokens_.select(1, slot), changed_weight_, temperature,
                              temperature <= 0 ? torch::Tensor() : uniforms[slot]));
    last = decoder_.PushCode(slot, codes.back()).clone();
    hidden.push_back(last);
  }
  tokens_ = torch::stack(codes, 1);
  hidden_ = torch::stack(hidden, 1);
  return action_hidden;
}

}  // namespace hidreamer::world_model
