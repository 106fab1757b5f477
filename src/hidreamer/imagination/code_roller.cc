#include "hidreamer/imagination/code_roller.h"

#include <ATen/CPUGeneratorImpl.h>

#include <vector>

#include "hidreamer/layers/categorical.h"
#include "hidreamer/policy/action_distribution.h"

namespace hidreamer::imagination {

CodeRoller::CodeRoller(world_model::WorldModel model, world_model::Decoder& decoder,
                       const CodeSampling& sampling)
    : model_(std::move(model)),
      decoder_(decoder),
      sampling_(sampling),
      generator_(at::make_generator<at::CPUGeneratorImpl>(sampling.seed)) {}

void CodeRoller::Start(const torch::Tensor& tokens, const torch::Tensor& actions) {
  torch::NoGradGuard no_grad;
  decoder_.Reset();
  hidden_ = decoder_.Prefill(tokens, actions).clone();  // (B, L, D)
  tokens_ = tokens.select(1, tokens.size(1) - 1);
}

torch::Tensor CodeRoller::Advance(const torch::Tensor& actions, const torch::Tensor& uniforms) {
  torch::NoGradGuard no_grad;
  const auto action_hidden = decoder_.PushAction(actions).clone();  // (B, D)
  const int64_t levels = model_->options().layout.levels;
  std::vector<torch::Tensor> codes, hidden;
  auto last = action_hidden;
  for (int64_t level = 0; level < levels; ++level) {
    codes.push_back(ChooseCode(level, last, uniforms));
    last = decoder_.PushCode(level, codes.back()).clone();
    hidden.push_back(last);
  }
  tokens_ = torch::stack(codes, 1);   // (B, L)
  hidden_ = torch::stack(hidden, 1);  // (B, L, D)
  return action_hidden;
}

torch::Tensor CodeRoller::ChooseCode(int64_t level, const torch::Tensor& hidden,
                                     const torch::Tensor& uniforms) {
  const auto logits = model_->Logits(level, hidden).to(torch::kFloat32);  // (B, V)
  if (sampling_.greedy) {
    return logits.argmax(-1);
  }
  if (uniforms.defined()) {
    return layers::CategoryOfLogits(logits, sampling_.temperature, uniforms[level]);
  }
  return layers::SampleCategoryOfLogits(logits, sampling_.temperature, generator_);
}

}  // namespace hidreamer::imagination
