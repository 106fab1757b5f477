#include "hidreamer/pipeline/figure_table.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "hidreamer/evaluation/figure.h"

namespace hidreamer::pipeline {
namespace {

TEST(FormatFigureTable, AlignsColumnsAndMarksWhatIsMissing) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("hid_table_" + std::to_string(::getpid()));
  evaluation::Figure score;
  score.name = "play/pong";
  score.value = -20.5;
  score.unit = "points";
  score.baseline = -20.29;
  score.baseline_name = "random";
  evaluation::Figure level;
  level.name = "l0";
  level.split = "episode";
  level.text_figure = "99.7 %";
  evaluation::WriteFigures(path, {score, level});
  EXPECT_EQ(FormatFigureTable(path),
            "figure       | ours         | baseline        | text\n"
            "play/pong    | -20.5 points | -20.29 (random) | –\n"
            "l0 [episode] | –            | –               | 99.7 %\n");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace hidreamer::pipeline
