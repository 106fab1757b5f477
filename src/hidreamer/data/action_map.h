#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hidreamer::data {

// From the action ids of a foreign recording to a game's own actions.
class ActionMap {
 public:
  // `names` are the game's actions in order; empty: the game is not known. `text` is a list of
  //   full      ALE's 18 ids, each to the game's action of the same name
  //   ID=ACTION one id to an action, by its index or its name
  // where later parts replace earlier ones; empty: ids are the game's own indices. Throws a user
  // Error if it is malformed or names an action that the game does not have.
  ActionMap(const std::string& text, std::vector<std::string> names, std::string game);

  // The game's actions for a column of ids. Throws a user Error that names the row and value of the
  // first that is no whole number or that the game has no action for.
  std::vector<uint8_t> Apply(const std::vector<double>& ids, const std::string& array) const;
  // The names of the actions: the game's, or "action 0", … up to the largest in `actions`.
  std::vector<std::string> NamesFor(const std::vector<uint8_t>& actions) const;

 private:
  void AddPair(const std::string& pair);
  std::string DescribeGame() const;
  [[noreturn]] void FailAt(size_t row, double id, const std::string& array) const;

  std::vector<std::string> names_;
  std::string game_;
  bool mapped_ = false;  // otherwise every id is its own action
  bool full_ = false;
  std::map<int, int> actions_;  // by id
};

}  // namespace hidreamer::data
