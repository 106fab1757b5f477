#include "hidreamer/base/json_lines.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

namespace hidreamer {
namespace {

TEST(JsonLines, RoundTripDropsALineCutShortAndTruncatesByStep) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / "hid_metrics.jsonl";
  std::filesystem::remove(path);
  {
    JsonLinesWriter writer(path);
    for (int step = 1; step <= 5; ++step) {
      writer.Write({{"step", step}, {"loss", step == 2 ? std::nan("") : 0.5}});
    }
  }
  std::ofstream(path, std::ios::app) << "{\"step\": 6, \"lo";
  std::vector<nlohmann::json> records = ReadJsonLines(path);
  ASSERT_EQ(records.size(), 5u);
  EXPECT_TRUE(records[1]["loss"].is_null());
  TruncateJsonLines(path, "step", 3);
  records = ReadJsonLines(path);
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records.back()["step"], 3);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace hidreamer
