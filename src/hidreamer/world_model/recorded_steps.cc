#include "hidreamer/world_model/recorded_steps.h"

#include "hidreamer/base/error.h"

namespace hidreamer::world_model {
namespace {

// codes (B, T, L), others (B, T)
Steps StepsOf(const torch::Tensor& codes, const torch::Tensor& actions,
              const torch::Tensor& rewards, const torch::Tensor& terminals,
              const ValuesOfCodes& values) {
  const auto placed = codes.unsqueeze(2);  // (B, T, 1, L)
  return {.codes = placed,
          .values = values(placed.flatten(0, 1)).unflatten(0, actions.sizes()),
          .previous_actions = torch::constant_pad_nd(actions.slice(1, 0, -1), {1, 0}, 0),
          .firsts = torch::zeros_like(actions, torch::kBool),
          .actions = actions,
          .rewards = rewards,
          .terminals = terminals.to(torch::kBool)};
}

}  // namespace

Steps ReadSteps(const tokenizer::TokenizedGame& game, const torch::Tensor& rows,
                const ValuesOfCodes& values) {
  const torch::Tensor all = rows.flatten();
  const auto take = [&](const torch::Tensor& of) {
    return of.index_select(0, all).unflatten(0, rows.sizes());
  };
  return StepsOf(take(game.tokens), take(game.actions), take(game.rewards), take(game.terminals),
                 values);
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
                 torch::stack(terminals), NoValues);
}

}  // namespace hidreamer::world_model
