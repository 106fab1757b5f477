#pragma once

#include <ATen/record_function.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace hidreamer::training {

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
  // In the order of their start; of kernels of our own what they tell (CountOperator).
  std::vector<CountedOperator> operators() const;

 private:
  at::CallbackHandle handle_;
};

// For kernels of our own: add to the meter that is alive, if any. What is told as an operator of
// libtorch, which would have done the same, is listed as well.
void CountFlops(int64_t flops);
void CountOperator(CountedOperator counted, int64_t times = 1);
// `times` products (rows, inner) x (inner, outputs), the right side lying as a weight (outputs,
// inner).
void CountProduct(int64_t rows, int64_t inner, int64_t outputs, c10::ScalarType type,
                  int64_t times = 1);

}  // namespace hidreamer::training
