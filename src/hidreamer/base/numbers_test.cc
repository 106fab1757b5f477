#include "hidreamer/base/numbers.h"

#include <gtest/gtest.h>

namespace hidreamer {
namespace {

TEST(Numbers, WholeNumbersMeanWhatTheySayInDecimal) {
  EXPECT_EQ(ParseWhole("0"), 0);
  EXPECT_EQ(ParseWhole("007"), 7);
  EXPECT_EQ(ParseWhole("010"), 10);
  EXPECT_EQ(ParseWhole("-5"), -5);
  EXPECT_EQ(ParseWhole("+5"), 5);
  EXPECT_EQ(ParseWhole("-0"), 0);
  EXPECT_EQ(ParseWhole("1e5"), 100000);
  EXPECT_EQ(ParseWhole("1E+5"), 100000);
  EXPECT_EQ(ParseWhole("2.5e3"), 2500);
  EXPECT_EQ(ParseWhole("12.0"), 12);
  EXPECT_EQ(ParseWhole("1200e-2"), 12);
  EXPECT_EQ(ParseWhole("0e40"), 0);
  EXPECT_EQ(ParseWhole("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(DigitsOfWhole("018446744073709551615"), "18446744073709551615");
}

TEST(Numbers, OtherTextsAreNotTakenForWholeNumbers) {
  for (const char* text : {"",
                           " ",
                           "-",
                           "1.5",
                           "1e-1",
                           "0x10",
                           "0o10",
                           "0b1",
                           "1_000",
                           "1,000",
                           "1 000",
                           "1 ",
                           " 1",
                           "five",
                           "nan",
                           "inf",
                           "1e",
                           "1e999",
                           "e5",
                           ".",
                           "1.2.3",
                           "--1",
                           "+-1",
                           "1e41",
                           "1k",
                           "9223372036854775808",
                           "-9223372036854775809"}) {
    EXPECT_FALSE(ParseWhole(text)) << text;
  }
}

TEST(Numbers, NumbersAreFiniteAndDecimal) {
  EXPECT_EQ(ParseNumber("0.5"), 0.5);
  EXPECT_EQ(ParseNumber("+.5"), 0.5);
  EXPECT_EQ(ParseNumber("1e-4"), 1e-4);
  EXPECT_EQ(ParseNumber("010"), 10);
  EXPECT_EQ(ParseNumber("-3"), -3);
  for (const char* text :
       {"", "nan", "-nan", "inf", "1e999", "0x10", "1,5", "1_0", "fast", "+-1"}) {
    EXPECT_FALSE(ParseNumber(text)) << text;
  }
}

}  // namespace
}  // namespace hidreamer
