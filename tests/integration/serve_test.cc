// Watches runs as a user does: beside the training, afterwards, several at once, in a browser.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
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
using nlohmann::json;
using ::testing::HasSubstr;

class ServeTest : public ProgramTest {};

TEST_F(ServeTest, ShowsARunWhileItTrains) {
  const fs::path log = root_ / "agent.log";
  Program program(ShortAgent(root_ / "run", {"steps=160000"}) + Words{"--serve"}, log);
  const ServedPage page(program, log);
  json stage = json::object();
  while (stage.value("updates", 0) < 20) {
    ASSERT_FALSE(program.WaitFor(0.1)) << program.Wait().text;
    const json run = page.Call("runs", json::object()).at("runs").at(0);
    EXPECT_EQ(run.at("state"), "training");
    EXPECT_EQ(run.at("games"), json{"catch"});
    stage = run.at("stages").empty() ? json::object() : run.at("stages").at(0);
  }
  EXPECT_EQ(stage.at("total"), 10000);
  EXPECT_THAT(stage.at("keys"), testing::Contains("env_steps"));
  program.Signal(SIGINT);
  EXPECT_EQ(program.Wait().code, 130);
  EXPECT_FALSE(httplib::Client("127.0.0.1", page.port()).Get("/")) << "it goes with its training";
}

TEST_F(ServeTest, ATrainingWhosePortIsTakenFindsAnotherAndGoesOn) {
  // Where 8080 is not to be had, somebody has it already.
  const int other = ::socket(AF_INET, SOCK_STREAM, 0);
  const int yes = 1;
  ::setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(8080);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::bind(other, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  ::listen(other, 1);
  const fs::path log = root_ / "agent.log";
  Program program(ShortAgent(root_ / "run") + Words{"--serve"}, log);
  const Outcome outcome = program.Wait();
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.text, HasSubstr("cannot listen on 127.0.0.1:8080"));
  EXPECT_THAT(outcome.text, HasSubstr("open http://127.0.0.1:"));
  const fs::path taken = root_ / "taken.log";
  Program same({"serve", root_ / "run", "--port", "8080"}, taken);
  EXPECT_TRUE(same.WaitFor(20)) << "it listens where somebody else does";
  same.Signal(SIGINT);
  EXPECT_EQ(same.Wait().code, 2);
  ::close(other);
}

TEST_F(ServeTest, ComparesRunsOfBothKindsAndShowsTheirPictures) {
  ASSERT_EQ(RunProgram(ShortAgent(root_ / "a/run")).code, 0);
  ASSERT_EQ(RunProgram({"run", "debug", "--out", root_ / "b/run"}).code, 0);
  const fs::path log = root_ / "serve.log";
  Program program({"serve", root_ / "a/run/", root_ / "b/run", "--port", "0"}, log);
  const ServedPage page(program, log);
  const json runs = page.Call("runs", json::object()).at("runs");
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].at("name"), "a/run");
  EXPECT_EQ(runs[0].at("state"), "finished");
  std::vector<std::string> stages;
  for (const json& stage : runs[1].at("stages")) {
    stages.push_back(stage.at("name"));
    EXPECT_EQ(stage.at("updates"), stage.at("total")) << stage.at("name");
    EXPECT_TRUE(stage.at("done"));
    EXPECT_GT(stage.at("count"), 0);
  }
  EXPECT_THAT(stages, testing::IsSupersetOf({"encoder", "tokenizer", "world_model"}));
  for (const size_t run : {0, 1}) {
    json album = json::object();
    for (int i = 0; i < 600 && !album.value("ready", false); ++i) {
      album = page.Call("pictures", {{"run", run}, {"newest", i == 0}});
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    ASSERT_FALSE(album.contains("error")) << album["error"];
    ASSERT_FALSE(album.at("films").empty());
    EXPECT_GT(album.at("films").at(0).at("steps"), 1);
    EXPECT_EQ(album.at("films").at(0).at("codes").is_null(), run == 1);
    const bool trained_in_games = album.dump().find("while it trained, catch") != std::string::npos;
    EXPECT_EQ(trained_in_games, run == 0);
  }
  page.Call("pictures", {{"run", 2}}, 400);
  program.Signal(SIGINT);
  EXPECT_EQ(program.Wait().code, 0);
}

TEST_F(ServeTest, IsReadInABrowser) {
  if (web::Browser().empty()) {
    GTEST_SKIP() << "no Chromium is installed";
  }
  ASSERT_EQ(RunProgram(ShortAgent(root_ / "run")).code, 0);
  const fs::path log = root_ / "serve.log";
  Program program({"serve", root_ / "run", "--port", "0"}, log);
  const json told = ServedPage(program, log)
                        .RunInBrowser(R"(
    const told = {shows: await until(() => $("runs").rows.length && document.querySelector("#score figcaption"))}, row = $("runs").rows[0];
    told.row = [...row.cells].slice(0, 5).map(cell => cell.textContent.trim());
    told.chart = document.querySelector("#score canvas").getAttribute("aria-label");
    document.querySelector("#score details").open = true;
    await until(() => document.querySelector("#score tbody").rows.length);
    // What is read stays where it is: a screen reader's place is lost with a cell that is made anew.
    const before = [row, ...row.cells, ...document.querySelectorAll("#score tbody tr")], texts = before.map(node => node.firstChild);
    runs[0].state = "training"; runs[0].stages.forEach(stage => { stage.news = true; });
    showRuns(0); showCharts();
    told["while it changes"] = row.cells[2].textContent;
    await look(); await look();
    told["and back"] = row.cells[2].textContent;
    const after = [$("runs").rows[0], ...$("runs").rows[0].cells, ...document.querySelectorAll("#score tbody tr")];
    told.stays = after.length === before.length && after.every((node, i) => node === before[i] && node.firstChild === texts[i]);
    told.offers = $("ask").textContent;
    return told;)",
                                      root_ / "profile", 8000);
  EXPECT_EQ(told, (json{{"shows", true},
                        {"row", {"run", "catch", "finished", "agent", "100 % of 1,600 steps"}},
                        {"chart", told.value("chart", "")},
                        {"while it changes", "training"},
                        {"and back", "finished"},
                        {"stays", true},
                        {"offers", "show run"}}));
  EXPECT_THAT(told.value("chart", ""),
              HasSubstr("Score of a game. Newest, lowest and highest values. run, "));
}

TEST(ServeErrors, NameWhatIsMissing) {
  EXPECT_EQ(RunProgram({"serve"}).code, 2);
  const Outcome missing = RunProgram({"serve", "/nonexistent/run"});
  EXPECT_EQ(missing.code, 2);
  EXPECT_THAT(missing.text, HasSubstr("there is no run directory"));
  EXPECT_THAT(RunProgram({"serve", "--help"}).text, HasSubstr("Example: hidreamer serve"));
}

}  // namespace
}  // namespace hidreamer::integration
