#include "hidreamer/base/interrupt.h"

#include <signal.h>
#include <time.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace hidreamer {
namespace {

constexpr int64_t kOneRequest = 1'000'000'000;  // ns; a closing terminal or a batch system may
                                                // send the same wish several times

volatile sig_atomic_t interrupt_requested = 0;
std::atomic<int64_t> requested_at = 0;  // ns

static_assert(std::atomic<int64_t>::is_always_lock_free, "used in a signal handler");

int64_t Now() {
  timespec time = {};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

void OnSignal(int signal) {
  if (interrupt_requested == 0) {
    requested_at = Now();
    interrupt_requested = 1;
  } else if ((signal == SIGINT || signal == SIGTERM) && Now() - requested_at > kOneRequest) {
    std::_Exit(130);
  }
}

}  // namespace

void InstallInterruptHandler() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
    struct sigaction before = {};
    ::sigaction(signal, nullptr, &before);
    if (before.sa_handler == SIG_IGN) {  // nohup
      continue;
    }
    struct sigaction action = {};
    action.sa_handler = OnSignal;
    action.sa_flags = SA_RESTART;
    ::sigaction(signal, &action, nullptr);
  }
}

bool InterruptRequested() { return interrupt_requested != 0; }

void SetInterruptRequested(bool requested) { interrupt_requested = requested ? 1 : 0; }

}  // namespace hidreamer
