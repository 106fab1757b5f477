#include "hidreamer/web/connection.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <nlohmann/json.hpp>

namespace hidreamer::web {
namespace {

constexpr std::string_view kEndOfHead = "\r\n\r\n";

const char* Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

Connection::Outcome Refuse(Response& refusal, int status, const std::string& error) {
  refusal = {.status = status, .body = nlohmann::json{{"error", error}, {"hint", ""}}.dump()};
  return Connection::Outcome::kRefused;
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
    text.remove_prefix(1);
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return text;
}

}  // namespace

Connection::Connection(int socket, const Limits& limits) : socket_(socket), limits_(limits) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limits.patience).count();
  const timeval patience{.tv_sec = std::max<time_t>(1, seconds), .tv_usec = 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

Connection::~Connection() { ::close(socket_); }

// Reads what is there; false where nothing came in time or the other side is gone.
bool Connection::Fill(Clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
  pollfd wanted{.fd = socket_, .events = POLLIN, .revents = 0};
  if (left.count() <= 0 || ::poll(&wanted, 1, static_cast<int>(left.count())) <= 0) {
    return false;
  }
  std::array<char, 4096> bytes;
  const ssize_t count = ::recv(socket_, bytes.data(), bytes.size(), 0);
  if (count <= 0) {
    return false;
  }
  read_.append(bytes.data(), static_cast<size_t>(count));
  return true;
}

bool Connection::ParseHead(const std::string& head, Request& request) {
  std::string_view rest = head;
  const auto next_line = [&] {
    const size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 2);
    return line;
  };
  const std::string_view line = next_line();
  const size_t method = line.find(' '), target = line.find(' ', method + 1);
  if (method == std::string_view::npos || target == std::string_view::npos ||
      !line.substr(target + 1).starts_with("HTTP/1.")) {
    return false;
  }
  const std::string_view asked = line.substr(method + 1, target - method - 1);
  const size_t question = std::min(asked.find('?'), asked.size());
  request = {.method = std::string(line.substr(0, method)),
             .path = std::string(asked.substr(0, question)),
             .query = std::string(asked.substr(std::min(question + 1, asked.size())))};
  while (!rest.empty()) {
    const std::string_view header = next_line();
    const size_t colon = header.find(':');
    if (colon == std::string_view::npos || colon == 0) {
      return false;
    }
    std::string name(header.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const bool added =
        request.headers.emplace(name, std::string(Trimmed(header.substr(colon + 1)))).second;
    if (!added && (name == "host" || name == "origin" || name == "content-length")) {
      return false;  // which of them counts?
    }
  }
  return true;
}

Connection::Outcome Connection::Read(Request& request, Response& refusal) {
  if (read_.empty() && !Fill(Clock::now() + limits_.idle)) {
    return Outcome::kClosed;
  }
  const auto until = Clock::now() + limits_.patience;
  size_t end = read_.find(kEndOfHead);
  while (end == std::string::npos) {
    if (read_.size() > limits_.head) {
      return Refuse(refusal, 431, fmt::format("headers of more than {} bytes", limits_.head));
    }
    if (!Fill(until)) {
      return Refuse(refusal, 408, "the request did not come in time");
    }
    end = read_.find(kEndOfHead);
  }
  if (end > limits_.head) {
    return Refuse(refusal, 431, fmt::format("headers of more than {} bytes", limits_.head));
  }
  if (!ParseHead(read_.substr(0, end), request)) {
    return Refuse(refusal, 400, "this is not an HTTP request");
  }
  read_.erase(0, end + kEndOfHead.size());
  if (request.headers.contains("transfer-encoding")) {
    return Refuse(refusal, 411, "a body needs a Content-Length");
  }
  size_t size = 0;
  if (const auto length = request.headers.find("content-length"); length != request.headers.end()) {
    const char* last = length->second.data() + length->second.size();
    const auto [stop, error] = std::from_chars(length->second.data(), last, size);
    if (error == std::errc::result_out_of_range || size > limits_.body) {
      return Refuse(refusal, 413, fmt::format("a body of more than {} bytes", limits_.body));
    }
    if (error != std::errc() || stop != last) {
      return Refuse(refusal, 400, "Content-Length is not a number");
    }
  }
  while (read_.size() < size) {
    if (!Fill(until)) {
      return Refuse(refusal, 408, "the request did not come in time");
    }
  }
  request.body = read_.substr(0, size);
  read_.erase(0, size);
  return Outcome::kRequest;
}

bool Connection::Write(const Response& response, bool last) {
  const std::string text = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n"
      "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
      "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\r\n{}",
      response.status, Reason(response.status), response.type, response.body.size(),
      last ? "close" : "keep-alive", response.body);
  size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t count = ::send(socket_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) {
      return false;
    }
    sent += static_cast<size_t>(count);
  }
  if (last) {
    // What is still on its way is taken in first: else the answer may be thrown away unread.
    ::shutdown(socket_, SHUT_WR);
    const auto until = Clock::now() + std::chrono::milliseconds(200);
    for (size_t taken = 0; taken < limits_.head + limits_.body && Fill(until); read_.clear()) {
      taken += read_.size();
    }
  }
  return true;
}

}  // namespace hidreamer::web
