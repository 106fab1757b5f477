#include "hidreamer/evaluation/figure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"

namespace hidreamer::evaluation {
namespace {

std::filesystem::path FreshPath(const std::string& name) {
  const auto path = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::remove(path);
  return path;
}

TEST(FigureTest, SurvivesWritingAndReading) {
  const std::vector<Figure> figures = {{.name = "play/pong",
                                        .value = -3.5,
                                        .unit = "points",
                                        .baseline = -20.29,
                                        .baseline_name = "random policy",
                                        .text_figure = "none",
                                        .note = "100 games, \"atari100k\""},
                                       {.name = "dream/pong", .split = "episode"}};
  const auto path = FreshPath("figures.json");
  WriteFigures(path, figures);
  EXPECT_EQ(ReadFigures(path), figures);
}

TEST(FigureTest, NonFiniteValuesComeBackEmpty) {
  const auto path = FreshPath("nan.json");
  WriteFigures(path, {{.name = "a", .value = std::numeric_limits<double>::quiet_NaN()}});
  EXPECT_FALSE(ReadFigures(path).at(0).value.has_value());
}

TEST(FigureTest, MissingFileIsAnEmptyListAndAForeignFileAUserError) {
  EXPECT_TRUE(ReadFigures(FreshPath("none.json")).empty());
  const auto path = FreshPath("foreign.json");
  WriteFileAtomically(path, "{\"a\": 1}");
  EXPECT_THROW(ReadFigures(path), Error);
  WriteFileAtomically(path, "[{\"name\": \"a\", \"value\": \"high\"}]");
  EXPECT_THROW(ReadFigures(path), Error);
}

TEST(FigureTest, MergingReplacesSameNameAndSplitOnly) {
  std::vector<Figure> figures = {{.name = "a", .value = 1, .split = "episode"},
                                 {.name = "a", .value = 2, .split = "windows"}};
  MergeFigures(figures, {{.name = "a", .value = 3, .split = "windows"}, {.name = "b", .value = 4}});
  ASSERT_EQ(figures.size(), 3U);
  EXPECT_EQ(FindFigure(figures, "a", "episode")->value, 1);
  EXPECT_EQ(FindFigure(figures, "a", "windows")->value, 3);
  EXPECT_EQ(FindFigure(figures, "b")->value, 4);
  EXPECT_EQ(FindFigure(figures, "c"), nullptr);
}

}  // namespace
}  // namespace hidreamer::evaluation
