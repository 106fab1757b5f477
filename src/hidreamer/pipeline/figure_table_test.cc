#include "hidreamer/pipeline/figure_table.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "hidreamer/evaluation/figure.h"

namespace hidreamer::pipeline {
namespace {

TEST(FormatFigureTable, ShowsTheMainFiguresAlignedAndMarksWhatIsMissing) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("hid_table_" + std::to_string(::getpid()));
  evaluation::Figure score;
  score.name = "score, pong";
  score.value = -20.5;
  score.unit = "points";
  score.baseline = -20.29;
  score.baseline_name = "random";
  evaluation::Figure level;
  level.name = "accuracy of the next codes, L0";
  level.split = "episode";
  level.text_figure = "99.7 %";
  evaluation::Figure probe;
  probe.name = "probe R2 (codes), pong";
  evaluation::WriteFigures(path, {score, probe, level});
  EXPECT_EQ(FormatFigureTable(path),
            "figure                                   | ours         | baseline        | the text\n"
            "score, pong                              | -20.5 points | -20.29 (random) | –\n"
            "accuracy of the next codes, L0 [episode] | –            | –               | 99.7 %\n"
            "The report has all 3 figures.\n");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace hidreamer::pipeline
