#include "hidreamer/world_model/world.h"

#include <cmath>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/categorical.h"
#include "hidreamer/world_model/step_world.h"
#include "hidreamer/world_model/token_world.h"

namespace hidreamer::world_model {

std::shared_ptr<World> MakeWorld(const WorldOptions& options) {
  if (options.kind == "step") {
    return std::make_shared<StepWorld>(options);
  }
  if (options.kind == "token") {
    return std::make_shared<TokenWorld>(options);
  }
  throw UserError("the worlds are step and token", "no world '{}'", options.kind);
}

OpenLoop RunOpenLoop(World& world, const Steps& context, const torch::Tensor& actions,
                     const ValuesOfCodes& values, double temperature,
                     const torch::Tensor& uniforms) {
  const int64_t horizon = actions.size(1);
  const auto rollout = world.Begin(context, horizon, values);
  std::vector<torch::Tensor> codes, hidden;
  for (int64_t h = 0; h < horizon; ++h) {
    rollout->Imagine(actions.select(1, h), temperature,
                     temperature <= 0 ? torch::Tensor() : uniforms[h]);
    codes.push_back(rollout->codes());
    hidden.push_back(rollout->states().hidden);
  }
  return {.codes = torch::stack(codes, 1), .hidden = torch::stack(hidden, 1)};
}

torch::Tensor DrawCodes(torch::Tensor logits, const torch::Tensor& now, double changed_weight,
                        double temperature, const torch::Tensor& uniforms) {
  if (changed_weight != 1) {
    const auto stays = now.unsqueeze(-1);
    logits = logits.scatter_add(
        -1, stays, torch::full(stays.sizes(), std::log(changed_weight), logits.options()));
  }
  return temperature <= 0 ? logits.argmax(-1)
                          : layers::CategoryOfLogits(logits, temperature, uniforms);
}

}  // namespace hidreamer::world_model
