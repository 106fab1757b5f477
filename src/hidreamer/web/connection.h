#pragma once

#include <chrono>
#include <map>
#include <string>

namespace hidreamer::web {

struct Request {
  std::string method = {}, path = {}, query = {};   // "POST", "/api/step", "token=…"
  std::map<std::string, std::string> headers = {};  // names in lower case
  std::string body = {};
};

struct Response {
  int status = 200;
  std::string type = "application/json";
  std::string body = {};
};

struct Limits {
  size_t head = 16 << 10;                     // bytes of request line and headers
  size_t body = 64 << 10;                     // bytes
  std::chrono::milliseconds idle{5000};       // between two requests
  std::chrono::milliseconds patience{10000};  // for a whole request
};

// HTTP/1.1 over a connected socket, which it closes at its end. Written here because the library at
// hand limits neither headers nor bodies of unknown length.
class Connection {
 public:
  Connection(int socket, const Limits& limits);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  enum class Outcome { kRequest, kRefused, kClosed };
  // Waits for a request. kRefused: `refusal` says why; answer with it, then close.
  Outcome Read(Request& request, Response& refusal);
  // Returns false where the other side is gone.
  bool Write(const Response& response, bool last);

 private:
  using Clock = std::chrono::steady_clock;

  bool Fill(Clock::time_point until);
  // The request line and the headers; false where they are not well formed.
  static bool ParseHead(const std::string& head, Request& request);

  int socket_;
  Limits limits_;
  std::string read_;  // and not yet used
};

}  // namespace hidreamer::web
