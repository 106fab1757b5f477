#include "hidreamer/web/server.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <thread>

#include "hidreamer/base/error.h"
#include "hidreamer/web/play_page.h"

namespace hidreamer::web {
namespace {

class ServerTest : public testing::Test {
 protected:
  ServerTest() : server_("127.0.0.1", 0) {
    server_.AddPage("/", PlayPage());
    server_.AddCall("/api/add", [](const nlohmann::json& asked) -> nlohmann::json {
      return {{"sum", asked.at("a").get<int>() + asked.value("b", 1)}};
    });
    server_.AddCall("/api/refuse", [](const nlohmann::json&) -> nlohmann::json {
      throw UserError("begin a game", "no game '{}'", "x");
    });
    server_.AddCall("/api/break", [](const nlohmann::json&) -> nlohmann::json {
      throw std::runtime_error("broken");
    });
    running_ = std::thread([this] { server_.Run(); });
  }
  ~ServerTest() override {
    server_.Stop();
    running_.join();
  }
  httplib::Result Post(const std::string& path, const std::string& body) {
    return httplib::Client("127.0.0.1", server_.port()).Post(path, body, "application/json");
  }

  Server server_;
  std::thread running_;
};

TEST_F(ServerTest, ServesThePage) {
  const auto got = httplib::Client("127.0.0.1", server_.port()).Get("/");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status, 200);
  EXPECT_EQ(got->body, PlayPage());
  EXPECT_NE(got->body.find("</html>"), std::string::npos);
  EXPECT_EQ(httplib::Client("127.0.0.1", server_.port()).Get("/nothing")->status, 404);
}

TEST_F(ServerTest, AnswersCalls) {
  const auto got = Post("/api/add", R"({"a": 2, "b": 3})");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status, 200);
  EXPECT_EQ(nlohmann::json::parse(got->body), (nlohmann::json{{"sum", 5}}));
  EXPECT_EQ(Post("/api/nothing", "{}")->status, 404);
}

TEST_F(ServerTest, TellsWhatIsWrong) {
  EXPECT_EQ(Post("/api/add", "{")->status, 400);
  EXPECT_EQ(Post("/api/add", "")->status, 400);  // "a" is missing
  const auto refused = Post("/api/refuse", "{}");
  EXPECT_EQ(refused->status, 400);
  EXPECT_EQ(nlohmann::json::parse(refused->body),
            (nlohmann::json{{"error", "no game 'x'"}, {"hint", "begin a game"}}));
  const auto broken = Post("/api/break", "{}");
  EXPECT_EQ(broken->status, 500);
  EXPECT_EQ(nlohmann::json::parse(broken->body).at("error"), "broken");
}

TEST_F(ServerTest, HasItsPortAlone) { EXPECT_THROW(Server("127.0.0.1", server_.port()), Error); }

}  // namespace
}  // namespace hidreamer::web
