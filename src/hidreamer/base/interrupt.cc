#include "hidreamer/base/interrupt.h"

#include <csignal>
#include <cstdlib>

namespace hidreamer {
namespace {

volatile std::sig_atomic_t interrupt_requested = 0;

void OnSignal(int /*signal*/) {
  if (interrupt_requested != 0) {
    std::_Exit(130);
  }
  interrupt_requested = 1;
}

}  // namespace

void InstallInterruptHandler() {
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
}

bool InterruptRequested() { return interrupt_requested != 0; }

void SetInterruptRequested(bool requested) { interrupt_requested = requested ? 1 : 0; }

}  // namespace hidreamer
