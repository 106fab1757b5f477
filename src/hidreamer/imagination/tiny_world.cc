#include "hidreamer/imagination/tiny_world.h"

namespace hidreamer::imagination {

tokenizer::TokenizedGame TinyGame() {
  constexpr int64_t kEpisodes = 6, kSteps = 24, kRows = kEpisodes * kSteps;
  torch::manual_seed(11);
  tokenizer::TokenizedGame game;
  game.game = "tiny";
  game.tokens = torch::randint(4, {kRows, 2}, torch::kLong);
  game.actions = torch::randint(2, {kRows}, torch::kLong);
  game.rewards = (game.tokens.select(1, 0).remainder(2) == game.actions).to(torch::kFloat32);
  game.terminals = torch::zeros({kRows}, torch::kUInt8);
  game.truncateds = torch::zeros({kRows}, torch::kUInt8);
  for (int64_t episode = 0; episode < kEpisodes; ++episode) {
    const int64_t end = (episode + 1) * kSteps;
    game.episodes.push_back({end - kSteps, end});
    (episode % 2 == 0 ? game.terminals : game.truncateds)[end - 1] = 1;
  }
  game.num_actions = 2;
  game.codes = 4;
  return game;
}

world_model::WorldModel TinyWorldModel() {
  torch::manual_seed(12);
  world_model::WorldModel model(
      world_model::WorldModelOptions{.layout = {.levels = 2, .codes = 4, .actions = 3},
                                     .width = 16,
                                     .layers = 1,
                                     .heads = 2,
                                     .ffn_width = 32,
                                     .dropout = 0.1,
                                     .max_steps = 12});
  {
    // Louder than the usual start, so that every position shows clearly in every state.
    torch::NoGradGuard no_grad;
    for (auto& item : model->named_parameters()) {
      if (item.key().find("token_embeds") != std::string::npos ||
          item.key().find("action_embed") != std::string::npos) {
        item.value().normal_();
      }
    }
  }
  model->eval();
  return model;
}

torch::Tensor TinyCodebooks() {
  torch::manual_seed(13);
  return torch::randn({2, 4, 5});
}

config::PolicyConfig TinyConfig() {
  config::PolicyConfig config;
  config.hidden_width = 32;
  config.updates = 120;
  config.head_updates = 150;
  config.batch = 16;
  config.context = 4;
  config.horizon = 5;
  config.lr = 3e-3;
  config.cpc_width = 8;
  return config;
}

policy::PolicyModel TinyPolicy(const StateFeatures& features, int64_t context, int64_t horizon) {
  return policy::PolicyModel(policy::PolicyModelOptions{.game = "tiny",
                                                        .feature = features.kind(),
                                                        .feature_width = features.state_width(),
                                                        .outcome_width = features.outcome_width(),
                                                        .hidden_width = 8,
                                                        .actions = 2,
                                                        .cpc_width = 4,
                                                        .context = context,
                                                        .horizon = horizon});
}

}  // namespace hidreamer::imagination
