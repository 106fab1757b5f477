#include "hidreamer/web/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/web/play_page.h"

namespace hidreamer::web {
namespace {

// A slow request is given up soon, so that the test of that is short.
constexpr Limits kLimits{.idle = std::chrono::milliseconds(20000),
                         .patience = std::chrono::milliseconds(400)};

class ServerTest : public testing::Test {
 protected:
  explicit ServerTest(const std::string& host = "127.0.0.1") : server_(host, 0, kLimits) {
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

  // The status of a GET with these headers; 0 where there was no answer.
  int StatusWith(const httplib::Headers& headers, const std::string& path = "/") {
    const auto got = httplib::Client("127.0.0.1", server_.port()).Get(path, headers);
    return got ? got->status : 0;
  }
  std::string Here() const { return "127.0.0.1:" + std::to_string(server_.port()); }
  // A connection of its own.
  int Connect() const {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(server_.port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return socket;
  }
  // What a raw message is answered with: "413" or so, "" where it is closed unanswered.
  std::string StatusOf(const std::string& message) const {
    const int socket = Connect();
    ::send(socket, message.data(), message.size(), MSG_NOSIGNAL);
    std::string answer(12, ' ');  // "HTTP/1.1 200"
    const ssize_t count = ::recv(socket, answer.data(), answer.size(), MSG_WAITALL);
    ::close(socket);
    return count == 12 ? answer.substr(9) : "";
  }

  Server server_;
  std::thread running_;
};

class OpenServerTest : public ServerTest {
 protected:
  OpenServerTest() : ServerTest("0.0.0.0") {}
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

TEST_F(ServerTest, RefusesOtherPagesAndNames) {
  EXPECT_EQ(StatusWith({}), 200);
  EXPECT_EQ(StatusWith({{"Host", Here()}, {"Origin", "http://" + Here()}}), 200);
  EXPECT_EQ(StatusWith({{"Host", "localhost:9000"}}), 200) << "through a tunnel";
  EXPECT_EQ(StatusWith({{"Host", "[::1]:9000"}}), 200);
  for (const char* host : {"evil.example", "evil.example:8080", "localhost.evil.example",
                           "127.0.0.1.evil.example", "192.168.0.2", "", "[::1", ":", "]"}) {
    EXPECT_EQ(StatusWith({{"Host", host}}), 403) << host;
  }
  for (const char* origin : {"http://evil.example", "null", "http://127.0.0.1", "file://"}) {
    EXPECT_EQ(StatusWith({{"Host", Here()}, {"Origin", origin}}), 403) << origin;
  }
  httplib::Client client("127.0.0.1", server_.port());
  const auto foreign =
      client.Post("/api/add", {{"Origin", "http://evil.example"}}, R"({"a": 1})", "text/plain");
  ASSERT_TRUE(foreign);
  EXPECT_EQ(foreign->status, 403);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\n\r\n"), "403") << "no Host";
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"), "400");
}

TEST_F(ServerTest, NeedsNoTokenOnThisMachineAlone) {
  EXPECT_EQ(server_.address(), "http://" + Here() + "/");
  EXPECT_EQ(server_.token(), "");
}

TEST_F(OpenServerTest, AsksEverybodyForTheTokenOfItsAddress) {
  EXPECT_EQ(server_.token().size(), 32U);
  EXPECT_EQ(server_.address(),
            "http://0.0.0.0:" + std::to_string(server_.port()) + "/?token=" + server_.token());
  EXPECT_NE(Server("0.0.0.0", 0).token(), server_.token());
  const std::string right = "?token=" + server_.token();
  EXPECT_EQ(StatusWith({}, "/"), 403);
  EXPECT_EQ(StatusWith({}, "/?token="), 403);
  EXPECT_EQ(StatusWith({}, "/" + right.substr(0, right.size() - 1)), 403);
  EXPECT_EQ(StatusWith({}, "/" + right + "0"), 403);
  EXPECT_EQ(StatusWith({}, "/?x=1&" + right.substr(1)), 200);
  EXPECT_EQ(StatusWith({{"Host", "box.lan:8080"}}, "/" + right), 200);
  EXPECT_EQ(StatusWith({{"Origin", "http://evil.example"}}, "/" + right), 403);
  EXPECT_EQ(Post("/api/add", R"({"a": 1})")->status, 403);
  EXPECT_EQ(Post("/api/add" + right, R"({"a": 1})")->status, 200);
}

TEST_F(ServerTest, BoundsTheSizeOfARequest) {
  const std::string start = "POST /api/add HTTP/1.1\r\nHost: localhost\r\n";
  EXPECT_EQ(StatusOf(start + "Content-Length: 8\r\n\r\n{\"a\": 1}"), "200");
  EXPECT_EQ(StatusOf(start + "Content-Length: 65537\r\n\r\n"), "413");
  EXPECT_EQ(StatusOf(start + "Content-Length: 99999999999999999999999\r\n\r\n"), "413");
  for (const char* length : {"-1", "8x", "", "+8"}) {
    EXPECT_EQ(StatusOf(start + "Content-Length: " + length + "\r\n\r\n"), "400") << length;
  }
  EXPECT_EQ(StatusOf(start + "Transfer-Encoding: chunked\r\n\r\n8\r\n{\"a\": 1}\r\n0\r\n\r\n"),
            "411");
  EXPECT_EQ(StatusOf(start + "X: " + std::string(20000, 'x') + "\r\n\r\n"), "431");
  std::string many = start;
  for (int i = 0; i < 2000; ++i) {
    many += "X" + std::to_string(i) + ": 1\r\n";
  }
  EXPECT_EQ(StatusOf(many), "431") << "before they end";
  EXPECT_EQ(StatusOf("GET /" + std::string(20000, 'x')), "431");
  for (const char* nonsense :
       {"hello\r\n\r\n", "\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1.1\r\n:\r\n\r\n"}) {
    EXPECT_EQ(StatusOf(nonsense), "400") << nonsense;
  }
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost: loc"), "408") << "it does not wait for ever";
  EXPECT_EQ(StatusWith({}), 200);
}

TEST_F(ServerTest, BoundsTheNumberOfConnections) {
  std::vector<int> idle;
  for (int i = 0; i < Server::kMostConnections; ++i) {
    idle.push_back(Connect());
  }
  EXPECT_EQ(StatusWith({}), 503);
  for (const int socket : idle) {
    ::close(socket);
  }
  int status = 0;
  for (int i = 0; i < 50 && status != 200; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    status = StatusWith({});
  }
  EXPECT_EQ(status, 200) << "and plays on afterwards";
}

TEST_F(ServerTest, EndsAtOnceWithConnectionsOpen) {
  const int idle = Connect();
  EXPECT_EQ(StatusWith({}), 200);
  const auto start = std::chrono::steady_clock::now();
  server_.Stop();
  running_.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(1000));
  running_ = std::thread([] {});
  ::close(idle);
}

TEST_F(ServerTest, HasItsPortAlone) { EXPECT_THROW(Server("127.0.0.1", server_.port()), Error); }

}  // namespace
}  // namespace hidreamer::web
