#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace hidreamer {

// Shows how far a long piece of work is, on stderr: one redrawn line with a bar on a terminal, a
// plain line every few seconds otherwise (logs, CI). Rate and time left count from the first
// Update, so a resumed run is not flattered.
class Progress {
 public:
  // `total` units of `unit` ("steps", "updates"); `done` of them were there before (resume). Draws
  // to `out` (tests), else stderr.
  Progress(std::string title, int64_t total, std::string unit, int64_t done = 0,
           std::FILE* out = nullptr);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `status` is a short free text such as "loss 0.412".
  void Update(int64_t done, const std::string& status = {});
  // Draws the last state and ends the line. Called by the destructor too.
  void Finish();

 private:
  using Clock = std::chrono::steady_clock;
  void Draw();

  std::string title_;
  int64_t total_;
  std::string unit_;
  int64_t first_;
  int64_t done_;
  std::string status_;
  std::FILE* out_;
  bool terminal_;
  bool finished_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_draw_;
};

// "45 s", "3 min 20 s", "2 h 05 min".
std::string FormatDuration(double seconds);

}  // namespace hidreamer
