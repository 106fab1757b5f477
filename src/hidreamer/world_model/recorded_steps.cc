#include "hidreamer/world_model/recorded_steps.h"

#include "hidreamer/base/error.h"

namespace hidreamer::world_model {
namespace {

// codes (B, T, L), others (B, T)
Steps StepsOf(const torch::Tensor& codes, const torch::Tensor& actions,
              const torch::Tensor& rewards, const torch::Tensor& terminals) {
  Steps steps = StepsOfSlots({.levels = codes.size(2)}, codes, actions.slice(1, 0, -1), NoValues);
  steps.actions = actions;
  steps.rewards = rewards;
  steps.terminals = terminals.to(torch::kBool);
  return steps;
}

}  // namespace

Steps ReadSteps(const tokenizer::TokenizedGame& game, const torch::Tensor& rows) {
  const torch::Tensor all = rows.flatten();
  const auto take = [&](const torch::Tensor& of) {
    return of.index_select(0, all).unflatten(0, rows.sizes());
  };
  return StepsOf(take(game.tokens), take(game.actions), take(game.rewards), take(game.terminals));
}

Steps ReadSteps(const std::vector<tokenizer::TokenizedGame>& games,
                const std::vector<data::WindowStart>& windows, int64_t length) {
  std::vector<torch::Tensor> codes, actions, rewards, terminals;
  for (const data::WindowStart& window : windows) {
    const tokenizer::TokenizedGame& game = games.at(static_cast<size_t>(window.source));
    HID_CHECK(window.row >= 0 && window.row + length <= game.tokens.size(0),
              "window [{}, +{}) of {} rows", window.row, length, game.tokens.size(0));
    const auto take = [&](std::vector<torch::Tensor>& to, const torch::Tensor& of) {
      to.push_back(of.narrow(0, window.row, length));
    };
    take(codes, game.tokens);
    take(actions, game.actions);
    take(rewards, game.rewards);
    take(terminals, game.terminals);
  }
  return StepsOf(torch::stack(codes), torch::stack(actions), torch::stack(rewards),
                 torch::stack(terminals));
}

}  // namespace hidreamer::world_model
