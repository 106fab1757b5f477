#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace hidreamer::web {

// A small HTTP server: pages, and calls that take JSON and answer with JSON. Requests are answered
// by several threads.
class Server {
 public:
  // port 0: any that is free. Throws a user Error where the address cannot be had.
  Server(const std::string& host, int port);
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
  // Answers until Stop or Ctrl-C.
  void Run();
  void Stop();  // from any thread

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hidreamer::web
