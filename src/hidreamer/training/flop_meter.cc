#include "hidreamer/training/flop_meter.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <atomic>
#include <mutex>
#include <string_view>

#include "hidreamer/base/error.h"

namespace hidreamer::training {
namespace {

std::atomic<int64_t> total{0};
std::atomic<bool> counting{false};
std::atomic<bool> listing{false};
std::mutex listed_mutex;
std::vector<CountedOperator> listed;

// Input i if it is a tensor, else an undefined one.
at::Tensor TensorAt(c10::ArrayRef<const c10::IValue> inputs, size_t i) {
  return i < inputs.size() && inputs[i].isTensor() ? inputs[i].toTensor() : at::Tensor();
}

// Multiply-adds of one pass: every element of the (dense) output side meets one filter.
int64_t Convolution(const at::Tensor& input, const at::Tensor& weight, int64_t output_positions,
                    bool transposed) {
  const int64_t positions = transposed ? input.numel() / input.size(1) : output_positions;
  return 2 * positions * weight.numel();
}

CountedOperator::Operand Describe(const at::Tensor& tensor) {
  return {.sizes = tensor.sizes().vec(),
          .strides = tensor.strides().vec(),
          .type = tensor.scalar_type()};
}

// flops 0: an operator that does not count.
CountedOperator Read(const at::RecordFunction& function) {
  const std::string_view name = function.name();
  CountedOperator counted;
  if (name != "aten::mm" && name != "aten::bmm" && name != "aten::addmm" &&
      name != "aten::baddbmm" && name != "aten::convolution" &&
      name != "aten::convolution_backward") {
    return counted;  // not all operators have inputs to ask for
  }
  counted.name = name;
  const c10::ArrayRef<const c10::IValue> inputs = function.inputs();
  if (!name.ends_with("convolution") && !name.ends_with("backward")) {
    const size_t first = name.find("add") == std::string_view::npos ? 0 : 1;
    const auto a = TensorAt(inputs, first), b = TensorAt(inputs, first + 1);
    if (a.defined() && b.defined()) {
      counted.operands = {Describe(a), Describe(b)};
      counted.flops = 2 * a.numel() * b.size(-1);  // (…, M, K) x (…, K, N)
    }
    return counted;
  }
  // input, weight, bias, stride, padding, dilation, transposed, …; the gradient's are
  // grad_output, input, weight, bias_sizes, stride, padding, dilation, transposed,
  // output_padding, groups, output_mask
  const size_t shift = name == "aten::convolution_backward" ? 1 : 0;
  const auto input = TensorAt(inputs, shift), weight = TensorAt(inputs, shift + 1);
  if (inputs.size() < (shift == 0 ? 7U : 11U) || !input.defined() || !weight.defined()) {
    return counted;
  }
  counted.operands = {Describe(input), Describe(weight)};
  counted.stride = inputs[shift + 3].toIntVector();
  counted.padding = inputs[shift + 4].toIntVector();
  counted.dilation = inputs[shift + 5].toIntVector();
  counted.transposed = inputs[shift + 6].toBool();
  if (shift == 0) {
    int64_t positions = input.size(0);
    for (size_t d = 0; d < counted.stride.size(); ++d) {
      const auto axis = static_cast<int64_t>(d) + 2;
      positions *= (input.size(axis) + 2 * counted.padding[d] -
                    counted.dilation[d] * (weight.size(axis) - 1) - 1) /
                       counted.stride[d] +
                   1;
    }
    counted.flops = Convolution(input, weight, positions, counted.transposed);
    return counted;
  }
  const auto gradient = TensorAt(inputs, 0);
  if (!gradient.defined()) {
    return counted;
  }
  counted.operands.insert(counted.operands.begin(), Describe(gradient));
  const auto mask = inputs[10].toBoolList();
  counted.gradients = {mask.get(0), mask.get(1), mask.get(2)};
  const int64_t passes = (mask.get(0) ? 1 : 0) + (mask.get(1) ? 1 : 0);
  counted.flops =
      passes * Convolution(input, weight, gradient.numel() / gradient.size(1), counted.transposed);
  return counted;
}

// Operators may call one another (autocast's do): the outermost of those that count counts.
thread_local int depth = 0;
struct Counted : at::ObserverContext {
  Counted() { ++depth; }
  ~Counted() override { --depth; }
};

std::unique_ptr<at::ObserverContext> Count(const at::RecordFunction& function) {
  CountedOperator read = Read(function);
  if (read.flops == 0) {
    return nullptr;
  }
  if (depth == 0) {
    total += read.flops;
    if (listing) {
      const std::lock_guard lock(listed_mutex);
      listed.push_back(std::move(read));
    }
  }
  return std::make_unique<Counted>();
}

}  // namespace

FlopMeter::FlopMeter(bool list) {
  HID_CHECK(!counting.exchange(true), "two FLOP meters at a time");
  total = 0;
  listing = list;
  handle_ = at::addGlobalCallback(
      at::RecordFunctionCallback(&Count).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
}

FlopMeter::~FlopMeter() {
  at::removeCallback(handle_);
  listed.clear();
  listing = false;
  counting = false;
}

std::vector<CountedOperator> FlopMeter::operators() const {
  const std::lock_guard lock(listed_mutex);
  return listed;
}

bool FlopMeter::Watching() { return counting; }

int64_t FlopMeter::flops() const { return total; }

void CountFlops(int64_t flops) {
  if (counting) {
    total += flops;
  }
}

void CountOperator(CountedOperator counted, int64_t times) {
  if (!counting) {
    return;
  }
  total += counted.flops * times;
  if (listing) {
    const std::lock_guard lock(listed_mutex);
    listed.insert(listed.end(), static_cast<size_t>(times), std::move(counted));
  }
}

void CountProduct(int64_t rows, int64_t inner, int64_t outputs, c10::ScalarType type,
                  int64_t times) {
  CountedOperator product;
  product.name = "aten::mm";
  product.operands = {{.sizes = {rows, inner}, .strides = {inner, 1}, .type = type},
                      {.sizes = {inner, outputs}, .strides = {1, inner}, .type = type}};
  product.flops = 2 * rows * inner * outputs;
  CountOperator(std::move(product), times);
}

}  // namespace hidreamer::training
