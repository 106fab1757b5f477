#include "hidreamer/performance/workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hidreamer/base/error.h"

namespace hidreamer::performance {
namespace {

TEST(SelectWorkloads, TakesAllOrTheNamedOnesInTheListsOrder) {
  EXPECT_EQ(SelectWorkloads({}).size(), AllWorkloads().size());
  const auto selected = SelectWorkloads({"atari", "hrvq_train"});
  ASSERT_EQ(selected.size(), 2);
  EXPECT_EQ(selected[0].name, "hrvq_train");
  EXPECT_EQ(selected[1].name, "atari");
}

TEST(SelectWorkloads, NamesTheNearestForAnUnknownOne) {
  try {
    SelectWorkloads({"hrvq_encod"});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUser);
    EXPECT_THAT(error.hint(), testing::HasSubstr("hrvq_encode"));
  }
}

}  // namespace
}  // namespace hidreamer::performance
