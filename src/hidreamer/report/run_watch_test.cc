#include "hidreamer/report/run_watch.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "hidreamer/base/files.h"
#include "hidreamer/base/temporary_directory.h"

namespace hidreamer::report {
namespace {

using nlohmann::json;

constexpr int64_t kStart = 1'800'000'000;  // 2027-01-15T08:00:00Z

class RunWatchTest : public testing::Test {
 protected:
  RunWatchTest() { WriteFileAtomically(run_ / "agent/begun.json", R"({"settings": {}})"); }
  void Append(int64_t step, double seconds, const std::string& more = "") {
    std::ofstream(run_ / "agent/metrics.jsonl", std::ios::app)
        << fmt::format("{{\"step\": {}, \"time\": {:.2f}{}}}\n", step,
                       static_cast<double>(kStart) + seconds, more);
  }
  void WriteJournal(const json& calls) {
    WriteFileAtomically(run_ / "run.json",
                        json{{"calls", calls}, {"games", {"catch"}}, {"seed", 3}}.dump());
  }
  json Answer(const json& seen = {}) {
    watch_.Follow();
    return watch_.Answer(seen);
  }
  json AgentStage(const json& seen = {}) { return Answer(seen).at("stages").at(0); }
  static json Rows(const json& stage) {
    return json::parse("[" + stage.at("rows").get<std::string>() + "]");
  }

  const TemporaryDirectory directory_{testing::TempDir() + "/run_watch"};
  const std::filesystem::path run_ = directory_.path() / "run";
  RunWatch watch_{run_, "mine"};
};

TEST_F(RunWatchTest, SaysWhatIsThereWhereNothingIs) {
  std::filesystem::remove_all(run_);
  EXPECT_EQ(Answer().at("stages"), json::array());
  EXPECT_EQ(Answer().at("state"), "finished");
  EXPECT_EQ(Answer().at("error"), "");
}

TEST_F(RunWatchTest, SendsEachRowOnce) {
  Append(2, 10, R"(, "loss": 0.123456789)");
  const json first = AgentStage();
  EXPECT_EQ(first.at("keys"), (json{"step", "hours", "per_second", "loss"}));
  EXPECT_EQ(Rows(first), (json{{2, 0, nullptr, 0.12346}}));
  Append(4, 20, R"(, "loss": 0.5, "score": -20)");
  const json seen = {{"agent", {first.at("generation"), first.at("count")}}};
  const json second = AgentStage(seen);
  EXPECT_EQ(second.at("first"), 1);
  EXPECT_EQ(second.at("keys"), (json{"step", "hours", "per_second", "loss", "score"}));
  EXPECT_EQ(Rows(second), (json{{4, 0.0027778, 0.2, 0.5, -20}}));
  EXPECT_EQ(Rows(AgentStage()).size(), 2U);
  EXPECT_EQ(AgentStage({{"agent", {second.at("generation"), 2U}}}).at("rows"), "");
  for (const json& nonsense : {json{7, 1}, json{0, 99}, json{0, -1}, json("x"), json{0}}) {
    EXPECT_EQ(AgentStage({{"agent", nonsense}}).at("first"), 0) << nonsense;
  }
}

TEST_F(RunWatchTest, TheTimeBetweenTwoCallsIsNoTraining) {
  WriteJournal({{{"start", "2027-01-15T08:00:00Z"}, {"outcome", "interrupted"}},
                {{"start", "2027-01-15T18:00:00Z"}}});
  Append(10, 10);
  Append(20, 20);
  Append(30, 36010);  // ten hours later
  Append(40, 36020);
  const json stage = AgentStage();
  EXPECT_DOUBLE_EQ(stage.at("seconds").get<double>(), 20);
  EXPECT_EQ(Rows(stage)[2][2], nullptr);
  EXPECT_DOUBLE_EQ(watch_.PaceOf("agent").per_second, 1);
}

TEST_F(RunWatchTest, TheTimeLeftFollowsFromWhatIsLearned) {
  WriteFileAtomically(run_ / "agent/begun.json",
                      R"({"settings": {"steps": "8000", "collect.steps_per_update": "8"}})");
  for (int64_t update = 1; update <= 100; ++update) {
    Append(update, 0.01 * static_cast<double>(update));  // steps played, nothing learned
  }
  for (int64_t update = 101; update <= 300; ++update) {
    Append(update, 2.0 * static_cast<double>(update), R"(, "loss": 1)");
  }
  watch_.Follow();
  const Pace pace = watch_.PaceOf("agent");
  EXPECT_EQ(pace.updates, 300);
  EXPECT_EQ(pace.total, 1000);
  EXPECT_NEAR(pace.per_second, 0.5, 1e-6);
  WriteFileAtomically(run_ / "agent/training.json", R"({"updates": 400})");
  watch_.Follow();
  EXPECT_EQ(watch_.PaceOf("agent").total, 400);
}

TEST_F(RunWatchTest, KnowsWhetherTheRunIsStillTraining) {
  const auto state = [&] { return Answer().at("state").get<std::string>(); };
  WriteJournal({{{"start", "2027-01-15T08:00:00Z"}}});
  EXPECT_EQ(state(), "stopped") << "nobody works there";
  char host[256] = {};
  ASSERT_EQ(::gethostname(host, sizeof(host) - 1), 0);
  WriteFileAtomically(run_ / ".lock", fmt::format("process {} on {}", ::getpid(), host));
  EXPECT_EQ(state(), "training");
  WriteFileAtomically(run_ / ".lock", fmt::format("process {} on {}", 1 << 30, host));
  EXPECT_EQ(state(), "stopped") << "killed";
  WriteFileAtomically(run_ / ".lock", "process 1073741824 on another-machine");
  EXPECT_EQ(state(), "training") << "as far as can be known";
  WriteJournal({{{"start", "2027-01-15T08:00:00Z"}, {"outcome", "done"}}});
  EXPECT_EQ(state(), "finished");
  WriteFileAtomically(run_ / "run.json", "damaged");
  EXPECT_EQ(Answer().at("error"), "");
}

}  // namespace
}  // namespace hidreamer::report
