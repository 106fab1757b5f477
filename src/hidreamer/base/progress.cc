#include "hidreamer/base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace hidreamer {

std::string FormatDuration(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s < 60) {
    return fmt::format("{} s", s);
  }
  if (s < 3600) {
    return fmt::format("{} min {:02d} s", s / 60, s % 60);
  }
  return fmt::format("{} h {:02d} min", s / 3600, s / 60 % 60);
}

Progress::Progress(std::string title, int64_t total, std::string unit, int64_t done, std::FILE* out)
    : title_(std::move(title)),
      total_(total),
      unit_(std::move(unit)),
      first_(done),
      done_(done),
      out_(out != nullptr ? out : stderr),
      terminal_(::isatty(::fileno(out_)) != 0),
      last_draw_(start_) {}

Progress::~Progress() { Finish(); }

void Progress::Update(int64_t done, const std::string& status) {
  done_ = done;
  if (!status.empty()) {
    status_ = status;
  }
  const double since = std::chrono::duration<double>(Clock::now() - last_draw_).count();
  if (since >= (terminal_ ? 0.1 : 10.0)) {
    Draw();
  }
}

void Progress::Finish() {
  if (finished_) {
    return;
  }
  finished_ = true;
  Draw();
  if (terminal_) {
    std::fputc('\n', out_);
  }
}

void Progress::Draw() {
  last_draw_ = Clock::now();
  const double elapsed = std::chrono::duration<double>(last_draw_ - start_).count();
  const double rate = elapsed > 0 ? static_cast<double>(done_ - first_) / elapsed : 0.0;
  const double fraction =
      total_ > 0 ? std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_)) : 1.0;
  std::string time;
  if (finished_ || done_ >= total_) {
    time = FormatDuration(elapsed);
  } else if (rate > 0) {
    time = FormatDuration(static_cast<double>(total_ - done_) / rate) + " left";
  } else {
    time = "…";
  }
  std::string line =
      fmt::format("{:<22} {:>3.0f}%  {}/{} {}  {:.{}f}/s  {}", title_, 100 * fraction, done_,
                  total_, unit_, rate, rate < 10 ? 2 : 0, time);
  if (!status_.empty()) {
    line += "  " + status_;
  }
  if (terminal_) {
    constexpr int kWidth = 20;
    const int filled = static_cast<int>(fraction * kWidth);
    std::string bar;
    for (int i = 0; i < kWidth; ++i) {
      bar += i < filled ? "█" : "·";
    }
    line = fmt::format("\r{} {}\033[K", bar, line);
  } else {
    line += '\n';
  }
  // A terminal that was closed must not end the work (fmt::print throws).
  std::fwrite(line.data(), 1, line.size(), out_);
  std::fflush(out_);
}

}  // namespace hidreamer
