#include "hidreamer/base/error.h"

#include <gtest/gtest.h>

#include <array>

namespace hidreamer {
namespace {

TEST(Error, CheckFailureNamesFileConditionAndValues) {
  try {
    HID_CHECK(1 + 1 == 3, "sum = {}", 1 + 1);
    FAIL() << "did not throw";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), Error::Kind::kInternal);
    EXPECT_NE(std::string(e.what()).find("error_test.cc"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("1 + 1 == 3"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("sum = 2"), std::string::npos);
  }
}

TEST(Error, UserErrorKeepsHint) {
  const Error e = UserError("try --help", "no game '{}'", "pnog");
  EXPECT_EQ(e.kind(), Error::Kind::kUser);
  EXPECT_STREQ(e.what(), "no game 'pnog'");
  EXPECT_EQ(e.hint(), "try --help");
}

TEST(NearestName, FindsSlipsAndRefusesStrangers) {
  const std::array<std::string, 3> games = {"pong", "breakout", "ms_pacman"};
  EXPECT_EQ(NearestName("pnog", games), "pong");
  EXPECT_EQ(NearestName("mspacman", games), "ms_pacman");
  EXPECT_EQ(NearestName("zzzzzzzz", games), "");
}

}  // namespace
}  // namespace hidreamer
