#include "hidreamer/web/server.h"

#include <fmt/format.h>
#include <httplib.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"

namespace hidreamer::web {
namespace {

constexpr int kBadRequest = 400, kInternalError = 500;
constexpr auto kBetweenLooks = std::chrono::milliseconds(100);  // at Ctrl-C

void Fail(httplib::Response& response, int status, const std::string& error,
          const std::string& hint) {
  response.status = status;
  response.set_content(nlohmann::json{{"error", error}, {"hint", hint}}.dump(), "application/json");
}

void Answer(const Server::Call& call, const httplib::Request& request,
            httplib::Response& response) {
  try {
    const nlohmann::json asked =
        request.body.empty() ? nlohmann::json::object() : nlohmann::json::parse(request.body);
    response.set_content(call(asked).dump(), "application/json");
  } catch (const nlohmann::json::exception& error) {
    Fail(response, kBadRequest, error.what(), "");
  } catch (const Error& error) {
    const bool user = error.kind() == Error::Kind::kUser;
    Fail(response, user ? kBadRequest : kInternalError, error.what(), error.hint());
  } catch (const std::exception& error) {
    Fail(response, kInternalError, error.what(), "");
  }
  if (response.status == kInternalError) {
    spdlog::error("{}: {}", request.path, response.body);
  }
}

}  // namespace

struct Server::Impl {
  httplib::Server http;
  int port = 0;
  std::atomic<bool> stopped = false, ended = false;
};

Server::Server(const std::string& host, int port) : impl_(std::make_unique<Impl>()) {
  // The library's default lets a second server take the same port and half of the requests.
  impl_->http.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  if (port == 0) {
    impl_->port = impl_->http.bind_to_any_port(host);
  } else if (impl_->http.bind_to_port(host, port)) {
    impl_->port = port;
  }
  if (impl_->port <= 0) {
    throw UserError("another program may have it: choose another --port, or 0 for any",
                    "cannot listen on {}:{}", host, port);
  }
}

Server::~Server() = default;

void Server::AddPage(const std::string& path, std::string_view html) {
  impl_->http.Get(path,
                  [page = std::string(html)](const httplib::Request&, httplib::Response& response) {
                    response.set_content(page, "text/html; charset=utf-8");
                  });
}

void Server::AddCall(const std::string& path, Call call) {
  impl_->http.Post(
      path, [call = std::move(call)](const httplib::Request& request, httplib::Response& response) {
        Answer(call, request, response);
      });
}

int Server::port() const { return impl_->port; }

void Server::Run() {
  std::thread watch([this] {
    while (!impl_->ended) {
      // Stopping takes effect only once it listens.
      if ((impl_->stopped || InterruptRequested()) && impl_->http.is_running()) {
        impl_->http.stop();
        return;
      }
      std::this_thread::sleep_for(kBetweenLooks);
    }
  });
  impl_->http.listen_after_bind();
  impl_->ended = true;
  watch.join();
}

void Server::Stop() { impl_->stopped = true; }

}  // namespace hidreamer::web
