#include "hidreamer/base/text_table.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"

namespace hidreamer {
namespace {

TEST(FormatTable, AlignsColumnsByCharacters) {
  EXPECT_EQ(FormatTable({{"a", "value"}, {"–", "1"}, {"long", "2"}}),
            "a    | value\n"
            "–    | 1\n"
            "long | 2\n");
  EXPECT_EQ(FormatTable({}), "");
}

TEST(FormatTable, RefusesRaggedRows) { EXPECT_THROW(FormatTable({{"a", "b"}, {"c"}}), Error); }

}  // namespace
}  // namespace hidreamer
