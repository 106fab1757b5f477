#pragma once

#include <ATen/record_function.h>

#include <cstdint>

namespace hidreamer::nn {

// Counts the floating-point operations (2 a multiply-add) of matrix products and convolutions, with
// their gradients, that libtorch's operators execute on any thread while it is alive. Elementwise
// work is not counted. It costs a callback an operator: meant for measuring some updates. One at a
// time.
class FlopMeter {
 public:
  FlopMeter();
  ~FlopMeter();
  FlopMeter(const FlopMeter&) = delete;
  FlopMeter& operator=(const FlopMeter&) = delete;

  int64_t flops() const;

 private:
  at::CallbackHandle handle_;
};

// Adds the operations of a kernel of our own to the meter that is alive, if any.
void CountFlops(int64_t flops);

}  // namespace hidreamer::nn
