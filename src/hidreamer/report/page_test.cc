#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/report/sections.h"

namespace hidreamer::report {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

Image FakeFrame(const std::string&, int64_t row) {
  Image image(84, 84, 60);
  const int64_t x = 10 + row % 60;
  for (int64_t y = 30; y < 40; ++y) {
    for (int64_t dx = 0; dx < 8; ++dx) {
      image.At(x + dx, y) = 230;
    }
  }
  return image;
}

json FakePlay() {
  json play = {{"game", "pong"},
               {"protocol", "atari100k"},
               {"player", "policy"},
               {"count", 40},
               {"mean", -12.5},
               {"standard_error", 0.7},
               {"median", -12},
               {"iqm", -12.1},
               {"iqm_interval_95", {-13, -11}},
               {"min", -20},
               {"max", -2},
               {"human_normalized", 0.23}};
  for (int i = 0; i < 40; ++i) {
    play["episodes"].push_back({{"score", -20 + i % 13 + i % 7}});
    play["random_measured"]["scores"].push_back(-21 + i % 3);
  }
  play["random_measured"]["mean"] = -20.1;
  play["random_measured"]["standard_error"] = 0.1;
  return play;
}

json Curve(double top, double rate) {
  json curve = json::array();
  for (int k = 1; k <= 50; ++k) {
    curve.push_back(top * (1 - std::exp(-rate * k)));
  }
  return curve;
}

ReportData FakeRun() {
  ReportData data{.title = "pong <quick> & \"clean\""};
  data.frame = FakeFrame;
  data.run = {{"version", "0.1.0"}, {"machine", {{"cores", 2}, {"memory_gib", 23}}}};
  data.config = "seed: 1\ngames: [pong]  # <all>\n";
  data.figures = {
      {.name = "world model accuracy L0",
       .value = 84.1,
       .unit = "%",
       .baseline = 81.1,
       .baseline_name = "copy-previous",
       .split = "episode",
       .text_figure = "99.7 %"},
      {.name = "world model accuracy L0", .value = 99.1, .unit = "%", .split = "windows"},
      {.name = "temporal consistency",
       .value = 0.24,
       .baseline = 0.71,
       .baseline_name = "untrained encoder",
       .text_figure = "0.260"}};
  for (const char* name : {"encoder", "world_model"}) {
    StageData stage{.name = name, .done = true, .stage = {{"seconds", 4000}}};
    for (int i = 1; i < 200; ++i) {
      stage.metrics.push_back({{"step", i * 10},
                               {"loss", 0.3 + 3 * std::exp(-i / 40.0)},
                               {"accuracy_l0", 1 - std::exp(-i / 30.0)},
                               {"accuracy_l1", 0.8 - std::exp(-i / 50.0)}});
    }
    data.stages.push_back(stage);
  }
  data.parts["play_pong_atari100k"] = FakePlay();
  data.parts["dream_pong"] = {{"game", "pong"}, {"exact", 12}};
  for (int i = 0; i < 8; ++i) {
    data.parts["dream_pong"]["context_rows"].push_back(i);
  }
  for (int i = 0; i < 25; ++i) {
    data.parts["dream_pong"]["truth_rows"].push_back(8 + i);
    data.parts["dream_pong"]["dream_rows"].push_back(8 + i + i * i / 60);
  }
  json level = {{"accuracy", .84},
                {"copy_accuracy", .81},
                {"changed_accuracy", .32},
                {"bigram_accuracy", .82},
                {"successor_changed_accuracy", .2},
                {"nll", .5},
                {"ece", .01}};
  data.parts["prediction"] = {
      {"levels", {level, level, level}}, {"windows", 256}, {"length", 64}, {"split", "episode"}};
  json curves = {{"model", Curve(.8, .1)}, {"shuffled", Curve(.9, .3)}, {"copy", Curve(1, .2)}};
  data.parts["open_loop_pong"] = {{"game", "pong"},
                                  {"levels", {curves, curves, curves}},
                                  {"probe", {{"ball_x", curves}}},
                                  {"windows", 256},
                                  {"context", 16}};
  json fit = {{"r2", .83}, {"mae", 3.2}};
  json weak = {{"r2", .23}, {"mae", 9.1}};
  data.parts["probe_pong"] = {{"game", "pong"},
                              {"train_rows", 18000},
                              {"test_rows", 2000},
                              {"variables",
                               {{{"name", "ball_x"},
                                 {"fits",
                                  {{"embedding", fit},
                                   {"codes", weak},
                                   {"hidden", fit},
                                   {"untrained", weak},
                                   {"pixels", weak}}},
                                 {"imagined", {{"1", fit}, {"5", weak}, {"15", weak}}}}}},
                              {"left_out", {{{"name", "enemy_x"}, {"entropy", .1}}}}};
  json counts = json::array();
  for (int i = 0; i < 256; ++i) {
    counts.push_back(1000 * std::exp(-i / 60.0));
  }
  json usage = {{"game", "pong"}, {"counts", counts},  {"perplexity", 131.0},
                {"used", 250},    {"smoothness", .62}, {"chance_smoothness", .01}};
  data.parts["codes"] = {
      {"levels", {{{"games", {usage}}}, {{"games", {usage}}}, {{"games", {usage}}}}},
      {"sharing",
       {{{"used_by", {3, 200, 53}},
         {"mutual_information", .9},
         {"shuffled_mutual_information", .01},
         {"game_entropy", 1}}}},
      {"examples",
       {{{"game", "pong"},
         {"codes", {{{"code", 17}, {"share", .021}, {"rows", {1, 2, 3, 4, 5, 6, 7, 8}}}}}}}}};
  data.parts["masks"] = {
      {"used", "reference"},
      {"labels", {"L0", "L1", "A"}},
      {"masks",
       {{{"kind", "reference"},
         {"rows", {"100000", "110000", "111000", "111100", "101110", "101111"}}}}}};
  return data;
}

const char* const kIds[] = {"summary", "play",  "dream", "prediction", "open-loop",
                            "probes",  "codes", "mask",  "training",   "run"};

TEST(PageTest, ShowsEverySectionOfAWholeRun) {
  const std::string page = RenderPage({FakeRun()});
  for (const char* id : kIds) {
    EXPECT_THAT(page, HasSubstr(std::string("<section id=\"") + id + "\""));
  }
  EXPECT_THAT(page, HasSubstr("81.1 <small>copy-previous"));
  EXPECT_THAT(page, HasSubstr("99.7 %"));
  EXPECT_THAT(page, HasSubstr("−12.5 ± 0.7"));
  EXPECT_THAT(page, HasSubstr("data:image/webp;base64,"));
  EXPECT_THAT(page, HasSubstr("data:image/png;base64,"));
  EXPECT_THAT(page, HasSubstr("enemy_x"));
  EXPECT_THAT(page, HasSubstr("1 h 06 min"));
  EXPECT_THAT(page, Not(HasSubstr("http://")));
  EXPECT_THAT(page, Not(HasSubstr("https://")));
  WriteFileAtomically(std::filesystem::path(testing::TempDir()) / "hidreamer_report_test.html",
                      page);
}

TEST(PageTest, EscapesNamesAndConfiguration) {
  const std::string page = RenderPage({FakeRun()});
  EXPECT_THAT(page, HasSubstr("pong &lt;quick&gt; &amp; &quot;clean&quot;"));
  EXPECT_THAT(page, HasSubstr("# &lt;all&gt;"));
  EXPECT_THAT(page, Not(HasSubstr("<quick>")));
}

TEST(PageTest, NamesWhatIsMissingInAnEmptyRun) {
  const std::string page = RenderPage({{.title = "empty"}});
  for (const char* id : kIds) {
    EXPECT_THAT(page, HasSubstr(std::string("<section id=\"") + id + "\""));
  }
  EXPECT_THAT(page, HasSubstr("<b>Probes</b> is not in this run"));
  EXPECT_THAT(page, HasSubstr("<b>Play in the real game</b> is not in this run"));
}

TEST(PageTest, MalformedPartSpoilsItsOwnSectionOnly) {
  ReportData data = FakeRun();
  data.parts["codes"] = {{"levels", "three"}};
  data.parts["probe_pong"] = {{"game", 5}};
  const std::string page = RenderPage({data});
  EXPECT_THAT(page, HasSubstr("<b>What the states know</b> is not in this run"));
  EXPECT_THAT(page, HasSubstr("−12.5 ± 0.7"));
}

TEST(PageTest, RunDirectoryOnDiskBecomesAFile) {
  const auto run = std::filesystem::path(testing::TempDir()) / "report_run";
  std::filesystem::remove_all(run);
  EXPECT_THROW(WriteReport({run}), Error);
  WriteFileAtomically(run / "evaluation" / "play_pong_atari100k.json", FakePlay().dump());
  WriteFileAtomically(run / "evaluation" / "broken.json", "{");
  WriteFileAtomically(run / "encoder" / "metrics.jsonl",
                      "{\"step\":1,\"loss\":2}\n{\"step\":2,\"loss\":1}\n");
  const std::string page = ReadFile(WriteReport({run}));
  EXPECT_THAT(page, HasSubstr("−12.5 ± 0.7"));
  EXPECT_THAT(page, HasSubstr("Training loss"));
  EXPECT_THAT(page, HasSubstr("not finished"));
}

TEST(PageTest, AnAgentsRunShowsItsLearningBesideRandomPlay) {
  ReportData data{.title = "catch", .is_agent = true};
  data.curve = {{"game", "catch"},
                {"steps", 200},
                {"random", {{"score", -8.3}, {"score_error", 0.2}, {"games", 20}}}};
  for (int i = 0; i < 20; ++i) {
    data.curve["training_games"].push_back({{"step", 10 * i}, {"score", i - 10}});
  }
  for (const double score : {-3.0, 9.4}) {
    data.curve["evaluations"].push_back(
        {{"step", 100}, {"score", score}, {"score_error", 0.25}, {"games", 40}});
  }
  const std::string page = RenderPage({data});
  EXPECT_THAT(page, HasSubstr("<b>9.4 ± 0.25</b> in 40 games; random play: −8.3 ± 0.2"));
  EXPECT_THAT(page, HasSubstr("games played while learning, mean of 10"));
  EXPECT_THAT(page, HasSubstr("<b>A dream beside the game</b> is not in this run"));
  data.dream_animation = "RIFF";
  EXPECT_THAT(RenderPage({data}), HasSubstr("data:image/webp;base64,UklGRg=="));
  data.curve = nullptr;
  EXPECT_THAT(RenderPage({data}), HasSubstr("the agent has not finished yet"));
}

TEST(PageTest, SeveralRunsShareAPageWithAddressesOfTheirOwn) {
  const std::string page = RenderPage({{.title = "catch", .is_agent = true}, FakeRun()});
  EXPECT_THAT(page, HasSubstr("<section id=\"learning\""));
  EXPECT_THAT(page, HasSubstr("<a href=\"#2-play\">"));
  EXPECT_THAT(page, HasSubstr("<section id=\"2-play\""));
}

}  // namespace
}  // namespace hidreamer::report
