#include "hidreamer/performance/timing.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <string>

#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"

namespace hidreamer::performance {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Timing Summarize(std::vector<double> seconds) {
  HID_CHECK(!seconds.empty(), "no repetition was timed");
  std::sort(seconds.begin(), seconds.end());
  const size_t middle = seconds.size() / 2;
  const bool odd = seconds.size() % 2 == 1;
  return {.median = odd ? seconds[middle] : (seconds[middle - 1] + seconds[middle]) / 2,
          .min = seconds.front(),
          .max = seconds.back(),
          .repetitions = static_cast<int64_t>(seconds.size())};
}

Timing TimeRepetitions(const std::function<void()>& run, const RepetitionLimits& limits,
                       torch::Device device) {
  const auto timed = [&] {
    if (InterruptRequested()) {
      throw Interrupted();
    }
    const Clock::time_point start = Clock::now();
    run();
    training::WaitFor(device);
    return SecondsSince(start);
  };
  const Clock::time_point first = Clock::now();
  do {
    timed();
  } while (SecondsSince(first) < limits.warm_up);
  std::vector<double> seconds;
  const Clock::time_point begin = Clock::now();
  for (int64_t done = 0;
       done < limits.most && (done < limits.fewest || SecondsSince(begin) < limits.seconds);
       ++done) {
    seconds.push_back(timed());
  }
  return Summarize(std::move(seconds));
}

double SecondsSinceProcessStart() {
  std::ifstream in("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(in)), {});
  // The program's name, in parentheses, may hold blanks; the start is the 20th field after it.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) {
    return 0;
  }
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int i = 0; i < 20; ++i) {
    fields >> field;
  }
  struct timespec now = {};
  if (field.empty() || ::clock_gettime(CLOCK_BOOTTIME, &now) != 0) {
    return 0;
  }
  const double started = std::stod(field) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) - started;
}

}  // namespace hidreamer::performance
