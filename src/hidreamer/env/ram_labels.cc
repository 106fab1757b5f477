#include "hidreamer/env/ram_labels.h"

#include <map>

#include "hidreamer/base/error.h"
#include "hidreamer/env/catch_environment.h"

namespace hidreamer::env {
namespace {

using Table = std::vector<RamLabel>;

Table Breakout() {
  Table table = {
      {"ball_x", 99}, {"ball_y", 101}, {"player_x", 72}, {"blocks_hit", 77}, {"score", 84}};
  for (int i = 0; i < 30; ++i) {
    table.push_back({"bricks_" + std::to_string(i), i});
  }
  return table;
}

std::map<std::string, Table> AllTables() {
  return {
      {"breakout", Breakout()},
      {"catch",
       {{"ball_x", CatchEnvironment::kBallXByte},
        {"ball_y", CatchEnvironment::kBallYByte},
        {"paddle_x", CatchEnvironment::kPaddleXByte}}},
      {"ms_pacman",
       {{"sue_x", 6},
        {"inky_x", 7},
        {"pinky_x", 8},
        {"blinky_x", 9},
        {"sue_y", 12},
        {"inky_y", 13},
        {"pinky_y", 14},
        {"blinky_y", 15},
        {"player_x", 10},
        {"player_y", 16},
        {"fruit_x", 11},
        {"fruit_y", 17},
        {"ghosts_count", 19},
        {"direction", 56},
        {"dots_eaten", 119},
        {"score", 120},
        {"lives", 123}}},
      {"pong",
       {{"player_y", 51},
        {"player_x", 46},
        {"enemy_y", 50},
        {"enemy_x", 45},
        {"ball_x", 49},
        {"ball_y", 54},
        {"enemy_score", 13},
        {"player_score", 14}}},
  };
}

}  // namespace

const std::vector<RamLabel>& RamLabels(const std::string& game) {
  static const std::map<std::string, Table> tables = AllTables();
  static const Table none;
  const auto found = tables.find(game);
  return found == tables.end() ? none : found->second;
}

int RamByte(const std::string& game, const std::string& name) {
  for (const RamLabel& label : RamLabels(game)) {
    if (label.name == name) {
      return label.byte;
    }
  }
  HID_CHECK(false, "no RAM label '{}' for '{}'", name, game);
  return 0;
}

}  // namespace hidreamer::env
