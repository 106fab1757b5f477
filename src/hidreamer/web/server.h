#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "hidreamer/web/connection.h"

namespace hidreamer::web {

// A small HTTP server: pages, and calls that take JSON and answer with JSON. Requests are answered
// by several threads.
//
// Other web pages must not reach it through the browser of its user: a request with a foreign Host
// (DNS rebinding) or Origin is refused with status 403. On an address that other machines reach,
// every request must carry the token of address() besides.
class Server {
 public:
  // port 0: any that is free. Throws a user Error where the address cannot be had.
  Server(const std::string& host, int port, const Limits& limits = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // GET path.
  void AddPage(const std::string& path, std::string_view html);
  // POST path with a JSON object, or nothing for {}. A user Error becomes status 400, other
  // exceptions 500, both with {"error", "hint"}.
  using Call = std::function<nlohmann::json(const nlohmann::json& request)>;
  void AddCall(const std::string& path, Call call);

  int port() const;
  // "http://127.0.0.1:8080/", with "?token=…" where one is needed.
  std::string address() const;
  const std::string& token() const;  // "" where none is needed

  static constexpr int kMostConnections = 256;  // at once; more are answered with status 503
  // Answers until Stop or Ctrl-C.
  void Run();
  void Stop();  // from any thread

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hidreamer::web
