#include "hidreamer/data/action_map.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>
#include <utility>

#include "hidreamer/base/error.h"

namespace hidreamer::data {
namespace {

constexpr int kMostActions = 256;  // a recording keeps a byte for each
constexpr const char* kUsage = "give --actions full, or pairs such as --actions 0=0,2=1,3=RIGHT";

// Of ALE, by id.
constexpr std::array<const char*, 18> kFullSet = {
    "NOOP",     "FIRE",     "UP",          "RIGHT",      "LEFT",          "DOWN",
    "UPRIGHT",  "UPLEFT",   "DOWNRIGHT",   "DOWNLEFT",   "UPFIRE",        "RIGHTFIRE",
    "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE"};

std::optional<int> Number(const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 ||
      value >= kMostActions) {
    return std::nullopt;
  }
  return value;
}

std::optional<int> IndexOf(const std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    return std::nullopt;
  }
  return static_cast<int>(found - names.begin());
}

}  // namespace

ActionMap::ActionMap(const std::string& text, std::vector<std::string> names, std::string game)
    : names_(std::move(names)), game_(std::move(game)), mapped_(!text.empty()) {
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    if (part != "full") {
      AddPair(part);
      continue;
    }
    if (names_.empty()) {
      throw UserError("give --game GAME, a game that is known here",
                      "--actions full: the actions of '{}' are not known", game_);
    }
    full_ = true;
    for (size_t id = 0; id < kFullSet.size(); ++id) {
      if (const auto action = IndexOf(names_, kFullSet[id])) {
        actions_[static_cast<int>(id)] = *action;
      }
    }
  }
}

void ActionMap::AddPair(const std::string& pair) {
  const size_t equals = pair.find('=');
  const auto id = Number(pair.substr(0, equals));
  if (equals == std::string::npos || !id) {
    throw UserError(kUsage, "--actions: '{}' is no ID=ACTION", pair);
  }
  const std::string target = pair.substr(equals + 1);
  auto action = IndexOf(names_, target);
  if (!action) {
    action = Number(target);
  }
  if (!action || (!names_.empty() && *action >= std::ssize(names_))) {
    throw UserError(kUsage, "--actions {}: no such action; {}", pair, DescribeGame());
  }
  actions_[*id] = *action;
}

std::string ActionMap::DescribeGame() const {
  if (names_.empty()) {
    return fmt::format("the actions of '{}' are not known, numbers from 0 to {} are taken", game_,
                       kMostActions - 1);
  }
  std::string text = fmt::format("{} has {} actions:", game_, names_.size());
  for (size_t i = 0; i < names_.size(); ++i) {
    text += fmt::format("{} {} {}", i == 0 ? "" : ",", i, names_[i]);
  }
  return text;
}

void ActionMap::FailAt(size_t row, double id, const std::string& array) const {
  std::string hint = "is it another game? give its --game";
  if (!mapped_ && !IndexOf(names_, kFullSet[0])) {
    hint = "ids can be mapped: --actions 0=0,2=1";
  } else if (!mapped_ && id < kFullSet.size()) {
    hint = "if these are ALE's 18 ids: --actions full; others can be mapped: --actions 0=0,2=1";
  } else if (mapped_) {
    hint = fmt::format("map it too: --actions …,{}=ACTION", id);
  }
  const bool named = full_ && id < kFullSet.size();
  throw UserError(hint, "row {} of '{}' is {}{}, which {}; {}", row, array, id,
                  named ? fmt::format(" ({})", kFullSet[static_cast<size_t>(id)]) : "",
                  mapped_ ? "--actions does not map to an action" : "is no action of the game",
                  DescribeGame());
}

std::vector<uint8_t> ActionMap::Apply(const std::vector<double>& ids,
                                      const std::string& array) const {
  std::vector<uint8_t> actions;
  actions.reserve(ids.size());
  for (size_t row = 0; row < ids.size(); ++row) {
    const double id = ids[row];
    if (!(id >= 0 && id < kMostActions) || id != std::floor(id)) {
      throw UserError("", "row {} of '{}' is {}: no whole number from 0 to {}", row, array, id,
                      kMostActions - 1);
    }
    int action = static_cast<int>(id);
    if (mapped_) {
      const auto found = actions_.find(action);
      action = found == actions_.end() ? kMostActions : found->second;
    }
    if (action >= (names_.empty() ? kMostActions : static_cast<int>(names_.size()))) {
      FailAt(row, id, array);
    }
    actions.push_back(static_cast<uint8_t>(action));
  }
  return actions;
}

std::vector<std::string> ActionMap::NamesFor(const std::vector<uint8_t>& actions) const {
  if (!names_.empty()) {
    return names_;
  }
  std::vector<std::string> names;
  const int largest = actions.empty() ? 0 : *std::max_element(actions.begin(), actions.end());
  for (int i = 0; i <= largest; ++i) {
    names.push_back("action " + std::to_string(i));
  }
  return names;
}

}  // namespace hidreamer::data
