#include "hidreamer/web/server.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"

namespace hidreamer::web {
namespace {

constexpr int kBadRequest = 400, kForbidden = 403, kNotFound = 404, kInternalError = 500,
              kUnavailable = 503;
constexpr int kBetweenLooks = 100;  // milliseconds, at Ctrl-C

Response Fail(int status, const std::string& error, const std::string& hint) {
  return {.status = status, .body = nlohmann::json{{"error", error}, {"hint", hint}}.dump()};
}

Response Answer(const Server::Call& call, const Request& request) {
  Response response;
  try {
    const nlohmann::json asked =
        request.body.empty() ? nlohmann::json::object() : nlohmann::json::parse(request.body);
    response.body = call(asked).dump();
  } catch (const nlohmann::json::exception& error) {
    response = Fail(kBadRequest, error.what(), "");
  } catch (const Error& error) {
    const bool user = error.kind() == Error::Kind::kUser;
    response = Fail(user ? kBadRequest : kInternalError, error.what(), error.hint());
  } catch (const std::exception& error) {
    response = Fail(kInternalError, error.what(), "");
  }
  if (response.status == kInternalError) {
    spdlog::error("{}: {}", request.path, response.body);
  }
  return response;
}

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// "" where the request has no such header.
std::string Header(const Request& request, const std::string& name) {
  const auto found = request.headers.find(name);
  return found == request.headers.end() ? "" : LowerCase(found->second);
}

// "localhost:8080" and "[::1]:8080" without the port.
std::string WithoutPort(const std::string& host) {
  const size_t colon = host.rfind(':');
  const bool port = colon != std::string::npos && host.find(']', colon) == std::string::npos &&
                    (host.front() == '[' || host.find(':') == colon);
  return port ? host.substr(0, colon) : host;
}

// An address of this machine that no other reaches.
bool IsLoopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  return address.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0;
}

std::string RandomToken() {
  std::random_device device;  // the system's
  std::string token;
  for (int i = 0; i < 4; ++i) {
    token += fmt::format("{:08x}", device());
  }
  return token;
}

// Takes as long wherever the two differ.
bool SameSecret(const std::string& a, const std::string& b) {
  unsigned char different = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    different |= static_cast<unsigned char>(a[i] ^ b[i]);
  }
  return different == 0;
}

std::string TokenOf(const std::string& query) {
  const std::string name = "token=";
  for (size_t at = 0; at < query.size();) {
    const size_t end = std::min(query.find('&', at), query.size());
    if (query.compare(at, name.size(), name) == 0) {
      return query.substr(at + name.size(), end - at - name.size());
    }
    at = end + 1;
  }
  return "";
}

}  // namespace

struct Server::Impl {
  std::string host, token;
  Limits limits;
  int listening = -1, port = 0;
  std::map<std::string, std::string> pages;
  std::map<std::string, Call> calls;
  std::atomic<bool> stopped = false;

  std::mutex mutex;
  std::set<int> open;  // sockets that are being answered

  bool Listen(const addrinfo& at);
  Response Handle(const Request& request) const;
  void Serve(int socket);
};

bool Server::Impl::Listen(const addrinfo& at) {
  listening = ::socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  auto* address = reinterpret_cast<sockaddr*>(&bound);
  if (listening < 0 || ::setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
      ::bind(listening, at.ai_addr, at.ai_addrlen) != 0 ||
      ::listen(listening, kMostConnections) != 0 || ::getsockname(listening, address, &size) != 0) {
    ::close(listening);
    listening = -1;
    return false;
  }
  port = ntohs(address->sa_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(address)->sin6_port
                                              : reinterpret_cast<sockaddr_in*>(address)->sin_port);
  token = IsLoopback(*address) ? "" : RandomToken();
  return true;
}

Server::Server(const std::string& host, int port, const Limits& limits)
    : impl_(std::make_unique<Impl>()) {
  impl_->host = LowerCase(host);
  impl_->limits = limits;
  addrinfo wanted = {};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found) == 0) {
    for (const addrinfo* at = found; at != nullptr && impl_->listening < 0; at = at->ai_next) {
      impl_->Listen(*at);
    }
    ::freeaddrinfo(found);
  }
  if (impl_->listening < 0) {
    throw UserError("another program may have it: choose another --port, or 0 for any",
                    "cannot listen on {}:{}", host, port);
  }
}

Server::~Server() { ::close(impl_->listening); }

void Server::AddPage(const std::string& path, std::string_view html) { impl_->pages[path] = html; }

void Server::AddCall(const std::string& path, Call call) { impl_->calls[path] = std::move(call); }

int Server::port() const { return impl_->port; }

const std::string& Server::token() const { return impl_->token; }

std::string Server::address() const {
  const bool v6 = impl_->host.find(':') != std::string::npos;
  return fmt::format("http://{}:{}/{}", v6 ? "[" + impl_->host + "]" : impl_->host, impl_->port,
                     impl_->token.empty() ? "" : "?token=" + impl_->token);
}

Response Server::Impl::Handle(const Request& request) const {
  const std::string asked = Header(request, "host"), origin = Header(request, "origin");
  const std::string name = WithoutPort(asked);
  // Where a token is needed, a page that tricks the browser with a name of its own has none.
  const bool known = !token.empty() || name == host || name == "[" + host + "]" ||
                     name == "localhost" || name == "127.0.0.1" || name == "[::1]";
  const bool own = origin.empty() || origin == "http://" + asked || origin == "https://" + asked;
  if (asked.empty() || !known || !own) {
    return Fail(kForbidden, "this request comes from another page", "open the address printed");
  }
  if (!SameSecret(TokenOf(request.query), token)) {
    return Fail(kForbidden, "the token is missing or wrong",
                "open the whole address printed, with its token");
  }
  if (const auto page = pages.find(request.path); page != pages.end() && request.method == "GET") {
    return {.type = "text/html; charset=utf-8", .body = page->second};
  }
  if (const auto call = calls.find(request.path); call != calls.end() && request.method == "POST") {
    return Answer(call->second, request);
  }
  return Fail(kNotFound, fmt::format("nothing is at {}", request.path), "");
}

// Answers all requests of a connection.
void Server::Impl::Serve(int socket) {
  Connection connection(socket, limits);
  Request request;
  Response response;
  bool last = false;
  while (!last && !stopped) {
    const Connection::Outcome outcome = connection.Read(request, response);
    if (outcome == Connection::Outcome::kClosed) {
      break;
    }
    if (outcome == Connection::Outcome::kRequest) {
      response = Handle(request);
      last = Header(request, "connection") == "close";
    } else {
      last = true;
    }
    last = !connection.Write(response, last) || last;
  }
  const std::lock_guard lock(mutex);
  open.erase(socket);
}

void Server::Run() {
  struct Worker {
    std::thread thread;
    std::shared_ptr<std::atomic<bool>> done;
  };
  std::vector<Worker> workers;
  const auto join_done = [&](bool all) {
    std::erase_if(workers, [&](Worker& worker) {
      const bool ended = all || *worker.done;
      if (ended) {
        worker.thread.join();
      }
      return ended;
    });
  };
  while (!impl_->stopped && !InterruptRequested()) {
    pollfd wanted{.fd = impl_->listening, .events = POLLIN, .revents = 0};
    const bool ready = ::poll(&wanted, 1, kBetweenLooks) > 0;
    join_done(/*all=*/false);
    const int socket = ready ? ::accept4(impl_->listening, nullptr, nullptr, SOCK_CLOEXEC) : -1;
    if (socket < 0) {
      continue;
    }
    const int yes = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (workers.size() >= kMostConnections) {
      Connection(socket, impl_->limits)
          .Write(Fail(kUnavailable, "too many connections", "close some pages"), /*last=*/true);
      continue;
    }
    {
      const std::lock_guard lock(impl_->mutex);
      impl_->open.insert(socket);
    }
    const auto done = std::make_shared<std::atomic<bool>>(false);
    workers.push_back({std::thread([this, socket, done] {
                         impl_->Serve(socket);
                         *done = true;
                       }),
                       done});
  }
  impl_->stopped = true;
  {
    const std::lock_guard lock(impl_->mutex);
    for (const int socket : impl_->open) {
      ::shutdown(socket, SHUT_RDWR);
    }
  }
  join_done(/*all=*/true);
}

void Server::Stop() { impl_->stopped = true; }

}  // namespace hidreamer::web
