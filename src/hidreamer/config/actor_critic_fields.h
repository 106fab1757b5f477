#pragma once

#include "hidreamer/config/field.h"

namespace hidreamer::config {

// Fields that every policy section has, whatever else it learns by.
template <typename Visitor, typename Policy>
void VisitActorCritic(Visitor& v, Policy& policy) {
  v({.name = "gamma", .help = "discount", .min = 0, .max = 1}, policy.gamma);
  v({.name = "lambda", .help = "lambda of the lambda-return", .min = 0, .max = 1}, policy.lambda);
  v({.name = "entropy", .help = "entropy bonus at the start", .min = 0, .max = 1}, policy.entropy);
  v({.name = "final_entropy",
     .help = "entropy bonus at the end, reached at a constant ratio from one update to the next: "
             "explore first, then play well",
     .min = 1e-9,
     .max = 1},
    policy.final_entropy);
  v({.name = "normalize_returns", .help = "divide advantages by the spread of the returns"},
    policy.normalize_returns);
  v({.name = "center_advantages",
     .help = "take their mean from the advantages: a critic that lags behind would push every "
             "action the same way"},
    policy.center_advantages);
  v({.name = "unimix",
     .help = "share of the uniform distribution mixed into the actor",
     .min = 0,
     .max = 1},
    policy.unimix);
  v({.name = "lr", .help = "Adam learning rate", .min = 0, .max = 1}, policy.lr);
  v({.name = "clip_norm",
     .help = "largest global gradient norm, per network",
     .min = 1e-6,
     .max = 1e9},
    policy.clip_norm);
  v({.name = "slow_tau",
     .help = "share of the critic mixed into the slow critic at each update",
     .min = 0,
     .max = 1},
    policy.slow_tau);
}

}  // namespace hidreamer::config
