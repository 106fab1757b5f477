#include "hidreamer/performance/bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hidreamer/base/error.h"

namespace hidreamer::performance {
namespace {

using ::testing::HasSubstr;

TEST(FormatBench, ShowsFiguresAndWhatIsMissing) {
  const nlohmann::json bench = {{"matmul_peak", {{"f32", {{"gflops", 200.0}, {"size", 2048}}}}},
                                {"device", "cpu"},
                                {"threads", 2},
                                {"start_seconds", 0.25},
                                {"results",
                                 {{{"name", "hrvq_train"},
                                   {"shape", "256 x 384"},
                                   {"precision", "f32"},
                                   {"median", 0.002},
                                   {"min", 0.001},
                                   {"max", 0.003},
                                   {"repetitions", 7},
                                   {"unit", "updates"},
                                   {"rate", 500.0},
                                   {"flops", 200000000},
                                   {"gflops", 100.0},
                                   {"share_of_peak", 0.5},
                                   {"products_alone", 0.0015}},
                                  {{"name", "atari"}, {"skipped", "no ROM"}}}}};
  const std::string text = FormatBench(bench);
  EXPECT_THAT(text, HasSubstr("f32: 200 GFLOP/s (2048 x 2048)"));
  EXPECT_THAT(text, HasSubstr("first product: 0.25 s"));
  EXPECT_THAT(
      text,
      HasSubstr("| 2 ms   | 1 ms | 3 ms | 7    | 500 updates/s | 100     | 50 %    | 1.5 ms"));
  EXPECT_THAT(text, HasSubstr("skipped: no ROM"));
}

TEST(RunBench, RefusesAnUnknownName) { EXPECT_THROW(RunBench({.only = {"nothing"}}), Error); }

TEST(RunBench, ComparesSamplingWithATrainingStep) {
  const nlohmann::json bench = RunBench({.only = {"world_model_train", "window_sampling"},
                                         .precision = "f32",
                                         .threads = 1,
                                         .quick = true});
  ASSERT_EQ(bench.at("results").size(), 2);
  const nlohmann::json& training = bench.at("results")[0];
  EXPECT_GT(training.at("flops"), 0);
  EXPECT_GT(training.at("share_of_peak"), 0);
  EXPECT_GT(training.at("products_alone"), 0);
  const nlohmann::json& sampling = bench.at("results")[1];
  EXPECT_FALSE(sampling.contains("flops"));
  EXPECT_NEAR(sampling.at("share_of_training_step").get<double>(),
              1 / (sampling.at("rate").get<double>() * training.at("median").get<double>()), 1e-9);
}

}  // namespace
}  // namespace hidreamer::performance
