#pragma once

#include <ATen/record_function.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace hidreamer::nn {

// An operator of libtorch that the meter counted, and what it takes to run one like it again.
struct CountedOperator {
  struct Operand {
    std::vector<int64_t> sizes, strides;
    c10::ScalarType type = c10::ScalarType::Float;
    bool operator==(const Operand&) const = default;
  };
  std::string name;               // "aten::mm", …
  std::vector<Operand> operands;  // of a product the two factors; of a convolution input and
                                  // weight, of its gradient the output's gradient before them
  std::vector<int64_t> stride, padding, dilation;  // of a convolution
  bool transposed = false;
  std::array<bool, 3> gradients = {};  // convolution_backward: of input, weight, bias
  int64_t flops = 0;
  bool operator==(const CountedOperator&) const = default;
};

// Counts the floating-point operations (2 a multiply-add) of matrix products and convolutions, with
// their gradients, that libtorch's operators execute on any thread while it is alive. Elementwise
// work is not counted. It costs a callback an operator: meant for measuring some updates. One at a
// time.
class FlopMeter {
 public:
  // `list`: also keeps what was counted, for operators().
  explicit FlopMeter(bool list = false);
  ~FlopMeter();
  FlopMeter(const FlopMeter&) = delete;
  FlopMeter& operator=(const FlopMeter&) = delete;

  static bool Watching();  // whether one is alive
  int64_t flops() const;
  // In the order of their start. Kernels of our own are counted, not listed.
  std::vector<CountedOperator> operators() const;

 private:
  at::CallbackHandle handle_;
};

// Adds the operations of a kernel of our own to the meter that is alive, if any.
void CountFlops(int64_t flops);

}  // namespace hidreamer::nn
