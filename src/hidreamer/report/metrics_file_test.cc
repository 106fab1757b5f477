#include "hidreamer/report/metrics_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "hidreamer/base/files.h"
#include "hidreamer/base/json_lines.h"
#include "hidreamer/base/temporary_directory.h"

namespace hidreamer::report {
namespace {

using Steps = std::vector<int64_t>;

class MetricsFileTest : public testing::Test {
 protected:
  void Append(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }
  // Steps of the records; those of an epoch's end negative.
  Steps StepsNow() {
    file_.Follow();
    Steps steps;
    for (const nlohmann::json& record : file_.records()) {
      steps.push_back((record.contains("epoch") ? -1 : 1) * record.at("step").get<int64_t>());
    }
    return steps;
  }

  const TemporaryDirectory directory_{testing::TempDir() + "/metrics_file"};
  const std::filesystem::path path_ = directory_.path() / "metrics.jsonl";
  MetricsFile file_{path_};
};

TEST_F(MetricsFileTest, IsEmptyWhereThereIsNoneYet) {
  EXPECT_FALSE(file_.Follow());
  EXPECT_EQ(StepsNow(), Steps());
}

TEST_F(MetricsFileTest, IsReadOnAsItGrows) {
  Append("{\"step\": 1}\n{\"step\": 2}\n");
  EXPECT_TRUE(file_.Follow());
  EXPECT_FALSE(file_.Follow());
  Append("{\"step\": 2, \"epoch\": 1}\n{\"step\": 3}\n");
  EXPECT_EQ(StepsNow(), (Steps{1, 2, -2, 3}));
  EXPECT_EQ(file_.generation(), 0);
}

TEST_F(MetricsFileTest, ALineWhoseEndIsMissingWaitsForIt) {
  Append("{\"step\": 1}\n{\"st");
  EXPECT_EQ(StepsNow(), Steps{1});
  Append("ep\": 2}");
  EXPECT_EQ(StepsNow(), Steps{1});
  Append("\nnot JSON\n[3]\n");
  EXPECT_EQ(StepsNow(), (Steps{1, 2}));
}

TEST_F(MetricsFileTest, AResumedRunIsOneCurve) {
  Append("{\"step\": 1}\n{\"step\": 2}\n{\"step\": 2, \"epoch\": 1}\n{\"step\": 3}\n");
  EXPECT_EQ(StepsNow(), (Steps{1, 2, -2, 3}));
  Append("{\"step\": 2, \"loss\": 7}\n");  // as if nobody had cut off what came after a checkpoint
  EXPECT_EQ(StepsNow(), (Steps{1, 2}));
  EXPECT_EQ(file_.records().back().at("loss"), 7);
  const int64_t generation = file_.generation();
  Append("{\"step\": 4}\n");
  EXPECT_EQ(StepsNow(), (Steps{1, 2, 4}));
  EXPECT_EQ(file_.generation(), generation);
  TruncateJsonLines(path_, "step", 2);  // as the training loop does
  Append("{\"step\": 3}\n{\"step\": 4}\n{\"step\": 5}\n");
  EXPECT_EQ(StepsNow(), (Steps{1, 2, 3, 4, 5}));
  EXPECT_NE(file_.generation(), generation);
}

TEST_F(MetricsFileTest, IsEmptyAgainWhereTheRunBeginsAnew) {
  Append("{\"step\": 1}\n");
  EXPECT_EQ(StepsNow(), Steps{1});
  std::filesystem::remove(path_);
  EXPECT_TRUE(file_.Follow());
  EXPECT_EQ(StepsNow(), Steps());
}

}  // namespace
}  // namespace hidreamer::report
