#include "hidreamer/imagination/open_loop.h"

#include <ATen/CPUGeneratorImpl.h>

#include "hidreamer/base/error.h"
#include "hidreamer/training/device.h"
#include "hidreamer/world_model/code_roller.h"

namespace hidreamer::imagination {

OpenLoopOutput DreamUnderActions(world_model::WorldModel model, const torch::Tensor& context_tokens,
                                 const torch::Tensor& actions, int64_t horizon,
                                 const CodeSampling& sampling) {
  torch::NoGradGuard no_grad;
  const int64_t context = context_tokens.size(1);
  HID_CHECK(actions.size(1) == context + horizon - 1, "{} actions for {} + {} steps",
            actions.size(1), context, horizon);
  world_model::Decoder decoder(model, context_tokens.size(0), context + horizon);
  world_model::CodeRoller roller(model, decoder);
  // On the CPU, so that all devices see the same numbers.
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(sampling.seed);
  const auto uniforms =
      training::ToDevice(torch::rand({horizon, context_tokens.size(2), context_tokens.size(0)},
                                     generator, torch::kFloat64),
                         context_tokens.device());
  roller.Start(context_tokens, actions.narrow(1, 0, context - 1));
  std::vector<torch::Tensor> tokens, hidden;
  for (int64_t h = 0; h < horizon; ++h) {
    roller.Advance(actions.select(1, context - 1 + h), sampling.temperature, uniforms[h]);
    tokens.push_back(roller.tokens());
    hidden.push_back(roller.hidden());
  }
  return {torch::stack(tokens, 1), torch::stack(hidden, 1)};
}

}  // namespace hidreamer::imagination
