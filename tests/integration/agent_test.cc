// Drives the online agent as a user does: learn, be killed, go on, be scored and judged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "hidreamer/base/files.h"
#include "hidreamer/web/test_browser.h"
#include "program.h"

namespace hidreamer::integration {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Agent : public ProgramTest {
 protected:
  static void SetUpTestSuite() {
    suite_ = fs::temp_directory_path() / ("hid_agent_" + std::to_string(::getpid()));
    fs::remove_all(suite_);
    fs::create_directories(suite_);
    learned_ = RunProgram(Command(suite_ / "run"));
  }
  static void TearDownTestSuite() { fs::remove_all(suite_); }

  void SetUp() override {
    ASSERT_EQ(learned_.code, 0) << learned_.text;
    fs::copy(suite_ / "run", run_, fs::copy_options::recursive);
  }

  static std::vector<std::string> Command(const fs::path& out) {
    return ShortAgent(out, {"threads=2"});
  }

  static fs::path suite_;
  static Outcome learned_;
  const fs::path run_ = root_ / "run";  // a finished agent that nothing disturbed
};

fs::path Agent::suite_;
Outcome Agent::learned_;

TEST_F(Agent, KilledAtManyMomentsGoesOnToTheBit) {
  const fs::path& whole = run_;
  const fs::path out = root_ / "killed";
  int kills = 0;
  for (double delay = 0.4; true; delay += 0.25) {
    auto command = Command(out);
    command.insert(command.end(), {"--set", "checkpoint_seconds=0"});
    Program program(command, root_ / "killed.log");
    if (program.WaitFor(delay)) {
      const Outcome outcome = program.Wait();
      ASSERT_EQ(outcome.code, 0) << outcome.text;
      break;
    }
    program.Signal(SIGKILL);
    program.Wait();
    ++kills;
  }
  EXPECT_GE(kills, 2);
  EXPECT_TRUE(ReadFile(out / "agent/model.safetensors") ==
              ReadFile(whole / "agent/model.safetensors"));
  EXPECT_EQ(ReadFile(out / "agent/curve.json"), ReadFile(whole / "agent/curve.json"));
  EXPECT_EQ(ReadFile(out / "replay/stream_03.frames"), ReadFile(whole / "replay/stream_03.frames"));
  const auto curve = nlohmann::json::parse(ReadFile(whole / "agent/curve.json"));
  EXPECT_EQ(curve["evaluations"].size(), 2);
  EXPECT_EQ(curve["training_games"].size(), 8);  // 200 steps of 8 games, 110 steps each

  const Outcome eval = RunProgram({"eval", "--run", whole, "--game", "catch", "--episodes", "2"});
  EXPECT_EQ(eval.code, 0) << eval.text;
  const Outcome other = RunProgram({"eval", "--run", whole, "--game", "pong", "--episodes", "2"});
  EXPECT_EQ(other.code, 2) << other.text;
  EXPECT_THAT(other.text, HasSubstr("holds an agent for catch"));
}

TEST_F(Agent, AnotherConfigInTheSameDirectoryIsRefused) {
  auto command = Command(run_);
  const Outcome again = RunProgram(command);
  EXPECT_EQ(again.code, 0) << again.text;
  EXPECT_THAT(again.text, HasSubstr("were done before"));
  command.insert(command.end(), {"--set", "policy.gamma=0.9"});
  const Outcome refused = RunProgram(command);
  EXPECT_EQ(refused.code, 2) << refused.text;
  EXPECT_THAT(refused.text, HasSubstr("policy.gamma: 0.99 before, 0.9 now"));
}

TEST_F(Agent, IsJudgedOnAGameThatItHasNotSeen) {
  ASSERT_EQ(RunProgram({"collect", "--game", "catch", "--steps", "1200", "--seed", "9", "--out",
                        root_ / "held"})
                .code,
            0);
  const Outcome given = RunProgram({"evaluate", run_, "--fit", root_ / "held", "--held-out",
                                    root_ / "held", "--frames", "200", "--episodes", "0"});
  ASSERT_EQ(given.code, 0) << given.text;
  const auto part = [&](const std::string& name) {
    return nlohmann::json::parse(ReadFile(run_ / "evaluation" / (name + ".json")));
  };
  EXPECT_EQ(part("prediction")["levels"].size(), 3);
  EXPECT_EQ(part("open_loop_catch")["probe"]["ball_x"]["model"].size(), 12);
  EXPECT_FALSE(fs::exists(run_ / "evaluation/returns_catch.json"));  // it did not play there

  const Outcome own = RunProgram(
      {"evaluate", run_, "--frames", "200", "--episodes", "2", "--recorded-steps", "1200"});
  ASSERT_EQ(own.code, 0) << own.text;
  EXPECT_THAT(own.text, HasSubstr("dream return, catch"));
  EXPECT_THAT(own.text, HasSubstr("within 30 % of the real one"));
  EXPECT_EQ(part("play_catch_atari100k")["episodes"].size(), 2);
  const std::string page = ReadFile(run_ / "report.html");
  for (const char* section : {"summary", "play", "prediction", "open-loop", "probes", "codes"}) {
    EXPECT_THAT(page, HasSubstr("<section id=\"" + std::string(section) + "\""));
  }
  EXPECT_THAT(page, Not(HasSubstr("cannot be read")));
  const auto measured = fs::last_write_time(run_ / "evaluation/codes.json");
  ASSERT_EQ(RunProgram({"probe", run_, "--frames", "200", "--recorded-steps", "1200"}).code, 0);
  EXPECT_EQ(fs::last_write_time(run_ / "evaluation/codes.json"), measured);
}

TEST_F(Agent, ShowsItsDreamAndItsLearningOnAPage) {
  EXPECT_THAT(learned_.text, HasSubstr("random play"));
  EXPECT_THAT(ReadFile(run_ / "report.html"), HasSubstr("data:image/webp;base64,"));
  const auto curve = nlohmann::json::parse(ReadFile(run_ / "agent/curve.json"));
  EXPECT_LT(curve["random"]["score"].get<double>(), 0);

  const Outcome dream =
      RunProgram({"dream", run_, "--steps", "5", "--context", "3", "--out", root_ / "dream.png"});
  EXPECT_EQ(dream.code, 0) << dream.text;
  EXPECT_THAT(ReadFile(root_ / "dream.png"), StartsWith("\x89PNG"));
  const Outcome other = RunProgram({"dream", run_, "--game", "pong"});
  EXPECT_EQ(other.code, 2) << other.text;
  EXPECT_THAT(other.text, HasSubstr("holds an agent for catch, not for pong"));

  const Outcome report = RunProgram({"report", run_, run_, "--out", root_ / "both.html"});
  EXPECT_EQ(report.code, 0) << report.text;
  EXPECT_THAT(ReadFile(root_ / "both.html"), HasSubstr("<section id=\"2-learning\""));
}

TEST_F(Agent, IsSharedAsAPageThatDreamsByItself) {
  const fs::path page = root_ / "dream.html";
  const Outcome shared = RunProgram({"export", run_, "--html", page});
  ASSERT_EQ(shared.code, 0) << shared.text;
  const std::string html = ReadFile(page);
  std::smatch held;
  ASSERT_TRUE(std::regex_search(html, held, std::regex("id=\"dream\">([^<]{1,200})")));
  EXPECT_THAT(held[1].str(), HasSubstr("\"game\":\"catch\""));
  EXPECT_THAT(held[1].str(), HasSubstr("\"random\":-"));
  EXPECT_THAT(html, Not(HasSubstr(root_.string())));  // nobody needs to know where it was made
  EXPECT_EQ(RunProgram({"export", run_, "--html", page}).code, 0);  // its own file again

  const fs::path again = root_ / "again";
  fs::copy(run_, again, fs::copy_options::recursive);
  ASSERT_EQ(RunProgram({"export", run_, again, "--html", root_ / "pages"}).code, 0);
  EXPECT_EQ(ReadFile(root_ / "pages/again.html"), ReadFile(root_ / "pages/run.html"));
  EXPECT_EQ(RunProgram({"export", run_, run_ / "", "--html", root_ / "pages"}).code, 2);
  EXPECT_EQ(RunProgram({"export", run_, again, "--out", root_ / "x.safetensors"}).code, 2);
  const Outcome both =
      RunProgram({"export", run_, "--html", page, "--out", root_ / "x.safetensors"});
  EXPECT_EQ(both.code, 2) << both.text;
  EXPECT_THAT(both.text, HasSubstr("Exactly 1 option"));
  EXPECT_EQ(RunProgram({"export", run_}).code, 2);
  fs::remove_all(run_ / "replay");
  const Outcome bare = RunProgram({"export", run_, "--html", page});
  EXPECT_EQ(bare.code, 2) << bare.text;
  EXPECT_THAT(bare.text, HasSubstr("with its replay"));
  fs::remove_all(run_ / "agent");
  EXPECT_THAT(RunProgram({"export", run_, "--html", page}).text, HasSubstr("no finished agent"));
}

// The text's transformer, learning online: the same commands, the same files.
TEST_F(Agent, AWorldOfTokensIsARunLikeAnyOther) {
  const fs::path run = root_ / "tokens", held = root_ / "held";
  auto command = Command(run);
  for (const char* setting : {"world_model.kind=token", "tokenizer.quantizer=rvq",
                              "tokenizer.grid=2", "tokenizer.codes=16"}) {
    command.insert(command.end(), {"--set", setting});
  }
  const Outcome learned = RunProgram(command);
  ASSERT_EQ(learned.code, 0) << learned.text;
  EXPECT_THAT(ReadFile(run / "report.html"), HasSubstr("data:image/webp;base64,"));
  EXPECT_EQ(RunProgram({"eval", run, "--episodes", "2"}).code, 0);
  EXPECT_EQ(RunProgram({"dream", run, "--steps", "5", "--out", root_ / "dream.png"}).code, 0);
  const Outcome page = RunProgram({"export", run, "--html", root_ / "dream.html"});
  EXPECT_EQ(page.code, 2) << page.text;
  EXPECT_THAT(page.text, HasSubstr("world_model.kind = step, not token"));
  ASSERT_EQ(
      RunProgram({"collect", "--game", "catch", "--steps", "600", "--seed", "9", "--out", held})
          .code,
      0);
  const Outcome evaluated = RunProgram({"evaluate", run, "--fit", held, "--held-out", held,
                                        "--frames", "100", "--episodes", "0", "--windows", "64"});
  ASSERT_EQ(evaluated.code, 0) << evaluated.text;
  EXPECT_EQ(nlohmann::json::parse(ReadFile(run / "evaluation/prediction.json"))["levels"].size(),
            3);
}

TEST_F(Agent, APartOfItIsTrainedAloneOnItsReplay) {
  const std::string before = ReadFile(run_ / "agent/model.safetensors");
  const std::vector<std::string> policy = {
      "train", "policy",        run_, "--updates", "6", "--set", "evaluation.times=2",
      "--out", root_ / "policy"};
  const Outcome trained = RunProgram(policy);
  ASSERT_EQ(trained.code, 0) << trained.text;
  EXPECT_THAT(trained.text, HasSubstr("catch after 6 updates"));
  EXPECT_EQ(ReadFile(run_ / "agent/model.safetensors"), before);
  const auto curve = nlohmann::json::parse(ReadFile(root_ / "policy/agent/curve.json"));
  EXPECT_EQ(curve["evaluations"].back()["step"], 6);
  EXPECT_EQ(RunProgram({"eval", root_ / "policy", "--episodes", "2"}).code, 0);
  const Outcome report = RunProgram({"report", root_ / "policy"});
  EXPECT_EQ(report.code, 0) << report.text;
  EXPECT_THAT(ReadFile(root_ / "policy/report.html"), HasSubstr("updates of the policy"));
  EXPECT_THAT(RunProgram(policy).text, HasSubstr("were done before"));

  // Beside the run where no other place is named.
  const Outcome world = RunProgram(
      {"train", "world", run_ / "", "--updates", "3", "--anew", "--set", "world_model.channels=8"});
  ASSERT_EQ(world.code, 0) << world.text;
  EXPECT_TRUE(fs::exists(root_ / "run_world/agent/model.safetensors"));
  EXPECT_EQ(RunProgram({"report", root_ / "run_world"}).code, 0);
  EXPECT_THAT(ReadFile(root_ / "run_world/report.html"), HasSubstr("No games were played"));

  const Outcome itself = RunProgram({"train", "policy", run_, "--out", run_});
  EXPECT_EQ(itself.code, 2);
  EXPECT_THAT(itself.text, HasSubstr("choose another --out"));
  fs::rename(run_ / "replay", root_ / "replay");
  const Outcome bare = RunProgram({"train", "policy", run_, "--out", root_ / "bare"});
  EXPECT_EQ(bare.code, 2);
  EXPECT_THAT(bare.text, HasSubstr("with its replay"));
  EXPECT_FALSE(fs::exists(root_ / "bare"));  // a refused call leaves no trace
  const Outcome stage = RunProgram({"train", "policy", root_, "--anew"});
  EXPECT_EQ(stage.code, 2);
  EXPECT_THAT(stage.text, HasSubstr("holds none"));
}

TEST_F(Agent, IsPlayedWithInABrowser) {
  const fs::path log = root_ / "play.log";
  Program program({"play", "--run", run_, "--port", "0"}, log);
  const ServedPage page(program, log);
  httplib::Client browser("127.0.0.1", page.port());
  EXPECT_THAT(browser.Get("/")->body, HasSubstr("</html>"));
  const auto call = [&](const std::string& name, const nlohmann::json& asked, int status = 200) {
    return page.Call(name, asked, status);
  };
  EXPECT_EQ(call("game", {})["actions"], (nlohmann::json{"STAY", "LEFT", "RIGHT"}));
  const auto begun = call("begin", {{"session", "a"}, {"seed", 3}, {"lead", 5}});
  EXPECT_EQ(begun["game"]["codes"], begun["dream"]["codes"]);
  EXPECT_EQ(begun["picture"].get<std::string>().rfind("data:image/png;base64,", 0), 0);
  call("begin", {{"session", "b"}, {"seed", 4}});
  nlohmann::json moment;
  for (const char* pilot : {"person", "game", "dream"}) {
    moment = call("step", {{"session", "a"}, {"pilot", pilot}, {"action", 1}});
  }
  EXPECT_EQ(moment["step"], 3);
  EXPECT_EQ(moment["dream"]["probabilities"].size(), 3);
  const int64_t code = (moment["dream"]["codes"][3 * 9 + 1].get<int64_t>() + 1) % 4;
  const auto edited = call("edit", {{"session", "a"}, {"place", 9}, {"level", 1}, {"code", code}});
  EXPECT_EQ(edited["dream"]["codes"][3 * 9 + 1], code);
  EXPECT_EQ(edited["step"], 3);
  call("edit", {{"session", "a"}, {"place", 64}, {"level", 1}, {"code", 0}}, 400);
  call("edit", {{"session", "a"}, {"place", 0}, {"level", 1}, {"code", 99}}, 400);
  const auto film = call("film", {{"session", "a"}});
  EXPECT_EQ(film["steps"], 5);  // begun, three steps, an edit
  EXPECT_EQ(film["film"].get<std::string>().rfind("data:image/webp;base64,", 0), 0);
  EXPECT_EQ(call("rejoin", {{"session", "a"}})["step"], 0);
  EXPECT_EQ(call("step", {{"session", "c"}, {"pilot", "game"}}, 400)["hint"], "begin another");
  call("step", {{"session", "a"}, {"pilot", "nobody"}}, 400);
  call("begin", {{"session", "a"}}, 400);  // without a seed
  EXPECT_EQ(call("rejoin", {{"session", "a"}})["step"], 0);
  call("step", {{"session", "a"}, {"pilot", "person"}, {"action", 3}}, 400);
  call("begin", {{"session", "a"}, {"seed", -3}}, 400);
  call("begin", {{"session", "a"}, {"seed", 3}, {"lead", 0}});
  EXPECT_EQ(browser.Get("/", {{"Host", "evil.example"}})->status, 403);
  program.Signal(SIGINT);
  EXPECT_EQ(program.Wait().code, 0);
}

TEST_F(Agent, IsPlayedByKeysAndButtonsOfThePage) {
  if (web::Browser().empty()) {
    GTEST_SKIP() << "no Chromium is installed";
  }
  const fs::path log = root_ / "play.log";
  Program program({"play", run_, "--port", "0"}, log);
  const nlohmann::json told = ServedPage(program, log)
                                  .RunInBrowser(R"(
    const told = {}, key = (name, on = document) =>
    on.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true}));
    told.plays = await until(() => moment && moment.step > 1);
    key("t"); told["after T"] = $("pilot").value;
    key("t"); told["after T again"] = $("pilot").value;
    key("p"); await until(() => !busy);
    const paused = moment.step;
    await wait(300); told["steps while paused"] = moment.step - paused;
    key("."); await until(() => moment.step > paused); told["after ."] = moment.step - paused;
    // A button's and a list's own keys are left to them; what a picture shows is said, too.
    told["space on a button"] = [key(" ", $("once")), $("pilot").value]; told["arrow on the list"] = key("ArrowDown", $("pilot"));
    told["chart"] = $("chart").getAttribute("aria-label").replace(/[-0-9.]+/g, "x");
    told["action"] = $("actions").children[1].getAttribute("aria-label").replace(/[0-9]+/g, "x");
    key("ArrowLeft"); told["after an arrow"] = $("pilot").value;
    key("."); await until(() => moment.step > paused + 1); told["played"] = about.actions[moment.action];
    const {size, gap, cell} = layout(), scale = $("codes").clientWidth / $("codes").width, box = $("codes").getBoundingClientRect();
    $("codes").dispatchEvent(new MouseEvent("click", {bubbles: true, clientX: box.left + (size + gap + 2.5 * cell) * scale,
      clientY: box.top + 1.5 * cell * scale}));
    told["clicked"] = [$("row").value, $("column").value, document.activeElement === $("levels").children[1].lastChild];
    const before = moment.dream.codes, input = $("levels").children[1].lastChild;
    input.value = (Number(input.value) + 1) % about.level_codes[1];
    input.dispatchEvent(new Event("input")); await until(() => moment.dream.codes !== before);
    told["edited codes"] = moment.dream.codes.flatMap((code, i) => code === before[i] ? [] : [i]);
    key("."); $("length").value = 5; $("length").oninput();
    $("length").focus(); $("length").blur(); pause(false);
    let longest = 0; for (let i = 0; i < 150; ++i) { await wait(10); longest = Math.max(longest, i < 30 ? 0 : moment.step); }
    told["longest dream"] = longest;
    pause(true); await until(() => !busy);
    HTMLAnchorElement.prototype.click = function() { told["saved"] = [this.download, this.href.slice(0, 16)]; };
    await save();
    return told;)",
                                                root_ / "profile", 20000);
  EXPECT_EQ(told, (nlohmann::json{{"plays", true},
                                  {"after T", "person"},
                                  {"after T again", "game"},
                                  {"steps while paused", 0},
                                  {"after .", 1},
                                  {"space on a button", {true, "game"}},
                                  {"arrow on the list", true},
                                  {"chart", "score to come: x by the game, x by the dream"},
                                  {"action", "LEFT: x % seeing the game, x % seeing the dream"},
                                  {"after an arrow", "person"},
                                  {"played", "LEFT"},
                                  {"clicked", {"2", "3", true}},
                                  {"edited codes", {31}},
                                  {"longest dream", 5},
                                  {"saved", {"catch.webp", "data:image/webp;"}}}));
}

TEST_F(Agent, IsPlayedWithFromOtherMachinesWithItsTokenAlone) {
  const fs::path log = root_ / "play.log";
  Program program({"play", "--run", run_, "--host", "0.0.0.0", "--port", "0"}, log);
  const ServedPage page(program, log);
  httplib::Client browser("127.0.0.1", page.port());
  EXPECT_EQ(browser.Get("/")->status, 403);
  EXPECT_EQ(page.query().size(), 39U);
  EXPECT_EQ(browser.Get("/" + page.query())->status, 200);
  EXPECT_EQ(browser.Post("/api/game", "{}", "application/json")->status, 403);
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait().code, 0);
}

TEST_F(Agent, KnowsItsPresetsAnywhereAndReadsBackWhatDefaultsPrints) {
  const fs::path before = fs::current_path();
  fs::current_path(root_);
  const std::string printed = RunProgram({"agent", "--defaults", "--preset", "gpu"}).text;
  EXPECT_THAT(printed, HasSubstr("\ndevice: cuda\n"));
  WriteFileAtomically("gpu.yaml", printed);
  EXPECT_EQ(RunProgram({"agent", "gpu.yaml", "--defaults"}).text, printed);
  WriteFileAtomically("mine.yaml", "extends: gpu\nseed: 7\n");
  EXPECT_THAT(RunProgram({"agent", "mine.yaml", "--defaults"}).text,
              ::testing::AllOf(HasSubstr("\ndevice: cuda\n"), HasSubstr("\nseed: 7\n")));
  EXPECT_THAT(RunProgram({"run", "debug", "--defaults"}).text, HasSubstr("\ngames: [catch]\n"));
  const Outcome wrong = RunProgram({"run", "mine.yaml", "--out", "r"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.text, HasSubstr("hint: hidreamer agent takes it"));
  fs::current_path(before);
}

TEST(AgentErrors, NameTheKeyAndExitWith2) {
  const Outcome unknown =
      RunProgram({"agent", "--out", "/nonexistent/x", "--set", "world_model.widht=8"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.text, HasSubstr("hint: did you mean 'world_model.width'?"));
  EXPECT_EQ(RunProgram({"agent", "--preset", "tpu"}).code, 2);
  EXPECT_EQ(RunProgram({"agent", "--defaults"}).code, 0);
  for (const char* command : {"agent", "evaluate", "play"}) {
    EXPECT_THAT(RunProgram({command, "--help"}).text, HasSubstr("Example: hidreamer "));
  }
}

}  // namespace
}  // namespace hidreamer::integration
