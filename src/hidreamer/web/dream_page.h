#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace hidreamer::web {

// The page in which anybody plays inside an agent's dream: HTML that holds all it needs and loads
// nothing. `dream` is
//   {"about": {"game", "steps", "seed", "score", "score_error", "score_games", "random"},
//    "actions": [names], "options": agent::AgentOptions,
//    "starts": [{"codes": T of (P, L), "actions": T}],         an action led to each; A: none
//    "tensors": [{"name", "shape"}], "weights": base64}        f16, little-endian, end to end
// of which about's score may be missing. dream.js dreams, dream_page.js shows it.
std::string DreamPage(const nlohmann::json& dream);

// The same without a dream.
std::string_view EmptyDreamPage();

}  // namespace hidreamer::web
