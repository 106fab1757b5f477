#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hidreamer/config/field.h"

namespace hidreamer::config {

// Actor and critic.
struct PolicyConfig {
  std::string algorithm = "reinforce";
  int64_t hidden_width = 512;
  int64_t batch = 64;
  int64_t context = 16;
  int64_t horizon = 15;
  double gamma = 0.997;
  double lambda = 0.95;
  double entropy = 3e-4;
  double final_entropy = 3e-4;
  bool normalize_returns = true;
  bool center_advantages = false;
  double unimix = 0.01;
  double lr = 3e-4;
  double clip_norm = 1.0;
  double slow_tau = 0.02;
  double ppo_clip = 0.2;
  int64_t ppo_epochs = 4;
  std::string features = "hidden";
  std::string critic = "two_hot";
  int64_t updates = 10000;
  int64_t head_updates = 2000;
  double seed_near_reward = 0.5;
  double normalizer_decay = 0.99;
  double cpc_scale = 0.5;
  int64_t cpc_width = 256;
  int64_t cpc_steps = 3;
  bool world_model_frozen = true;
  std::string experience = "dream";
  int64_t start_after = 300;
  double temperature = 0.5;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "algorithm",
       .help = "policy gradient on lambda-returns",
       .choices = {"reinforce", "ppo"}},
      algorithm);
    v({"hidden_width",
       "hidden size of actor and critic; staged: also of reward and continue networks", 8, 8192},
      hidden_width);
    v({"batch", "dreams per update", 1, 65536, "dreams"}, batch);
    v({"context", "real steps before a dream; online: also those seen when acting", 1, 4096,
       "steps"},
      context);
    v({"horizon", "H, dreamed steps", 1, 1024, "steps"}, horizon);
    v({"gamma", "discount", 0, 1}, gamma);
    v({"lambda", "lambda of the lambda-return", 0, 1}, lambda);
    v({"entropy", "entropy bonus at the start", 0, 1}, entropy);
    v({"final_entropy",
       "entropy bonus at the end, reached at a constant ratio from one update to the next: "
       "explore first, then play well",
       1e-9, 1},
      final_entropy);
    v({"normalize_returns", "divide advantages by the spread of the returns"}, normalize_returns);
    v({"center_advantages",
       "take their mean from the advantages: a critic that lags behind would push every "
       "action the same way"},
      center_advantages);
    v({"unimix", "share of the uniform distribution mixed into the actor", 0, 1}, unimix);
    v({"lr", "Adam learning rate", 0, 1}, lr);
    v({"clip_norm", "largest global gradient norm, per network", 1e-6, 1e9}, clip_norm);
    v({"slow_tau", "share of the critic mixed into the slow critic at each update", 0, 1},
      slow_tau);
    v({"ppo_clip", "PPO's clip range (algorithm: ppo)", 0, 10}, ppo_clip);
    v({.name = "ppo_epochs",
       .help = "passes over one batch of dreams (algorithm: ppo)",
       .min = 1,
       .max = 1024,
       .formerly = {"policy.passes"}},
      ppo_epochs);
    v.Only(kStaged);
    v({.name = "features",
       .help = "what the networks see: the three code embeddings, or the transformer's hidden "
               "states at L0, L1, L2",
       .choices = {"codes", "hidden"},
       .formerly = {"policy.feature"}},
      features);
    v({.name = "critic",
       .help = "two-hot log-likelihood over symlog bins, or the reference's squared error in "
               "symlog space",
       .choices = {"two_hot", "symlog_mse"}},
      critic);
    v({"updates", "actor-critic updates of each game", 1, 1e9, "updates"}, updates);
    v({"head_updates", "updates of the reward and continue heads before the first dream", 0, 1e9,
       "updates"},
      head_updates);
    v({"seed_near_reward",
       "share of dreams seeded so that a recorded reward falls inside the horizon", 0, 1},
      seed_near_reward);
    v({"normalizer_decay", "moving average of the 5 % and 95 % quantiles of the returns", 0, 1},
      normalizer_decay);
    v({"cpc_scale", "weight of the action-conditioned contrastive loss (AC-CPC, TWISTER); 0: off",
       0, 100},
      cpc_scale);
    v({"cpc_width", "size of the contrastive space", 2, 8192}, cpc_width);
    v({"cpc_steps", "how far ahead the contrastive target lies", 1, 1024, "steps"}, cpc_steps);
    v({"world_model_frozen",
       "keep the world model as trained, or go on training it on real windows between "
       "policy updates"},
      world_model_frozen);
    v.Only(kOnline);
    v({.name = "features",
       .help = "what the networks see of a state",
       .choices = {"codes+hidden", "codes", "hidden"},
       .formerly = {"policy.sees"}},
      features);
    v({.name = "experience",
       .help = "what actor and critic learn from: dreams, or the newest real steps alone",
       .choices = {"dream", "real"}},
      experience);
    v({"start_after", "updates of the world model before the first one of the policy", 0, 1e9,
       "updates"},
      start_after);
    v({"temperature", "of the codes drawn in dreams; 0: the likeliest", 0, 10}, temperature);
  }
};

}  // namespace hidreamer::config
