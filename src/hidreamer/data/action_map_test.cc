#include "hidreamer/data/action_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hidreamer/base/error.h"

namespace hidreamer::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<std::string> kPong = {"NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE"};

std::string ErrorOf(const std::string& text, const std::vector<std::string>& names,
                    const std::vector<double>& ids) {
  try {
    ActionMap(text, names, "pong").Apply(ids, "actions");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUser);
    return std::string(error.what()) + " / " + error.hint();
  }
  return "";
}

TEST(ActionMap, LeavesAGamesOwnIndicesAsTheyAre) {
  EXPECT_THAT(ActionMap("", kPong, "pong").Apply({0, 5, 3}, "actions"), ElementsAre(0, 5, 3));
  const std::string error = ErrorOf("", kPong, {0, 11});
  EXPECT_THAT(error, HasSubstr("row 1 of 'actions' is 11"));
  EXPECT_THAT(error, HasSubstr("pong has 6 actions"));
  EXPECT_THAT(error, HasSubstr("--actions full"));
}

TEST(ActionMap, FullTakesTheActionOfTheSameName) {
  EXPECT_THAT(ActionMap("full", kPong, "pong").Apply({0, 1, 3, 4, 11, 12}, "actions"),
              ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(ErrorOf("full", kPong, {0, 0, 2}), HasSubstr("row 2 of 'actions' is 2 (UP)"));
  EXPECT_THAT(ActionMap("full,2=RIGHT", kPong, "pong").Apply({2}, "actions"), ElementsAre(2));
}

TEST(ActionMap, TakesPairsOfIdAndIndexOrName) {
  EXPECT_THAT(ActionMap("0=0,2=LEFT,17=1", kPong, "pong").Apply({17, 2, 0}, "actions"),
              ElementsAre(1, 3, 0));
  EXPECT_THAT(ErrorOf("0=0", kPong, {0, 1}), HasSubstr("row 1 of 'actions' is 1"));
  for (const char* text : {"0", "0=", "=1", "x=1", "0=UP", "0=6", "-1=0", "0=0,,1=1", "256=0"}) {
    EXPECT_NE(ErrorOf(text, kPong, {}), "") << text;
  }
}

TEST(ActionMap, CountsTheActionsOfAnUnknownGame) {
  const ActionMap map("", {}, "unknown");
  EXPECT_THAT(map.NamesFor(map.Apply({0, 2}, "actions")),
              ElementsAre("action 0", "action 1", "action 2"));
  EXPECT_THAT(ErrorOf("full", {}, {}), HasSubstr("are not known"));
  EXPECT_THAT(ErrorOf("", {}, {256}), HasSubstr("row 0"));
}

}  // namespace
}  // namespace hidreamer::data
