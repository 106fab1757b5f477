#include "hidreamer/nn/flop_meter.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <atomic>
#include <string_view>

#include "hidreamer/base/error.h"

namespace hidreamer::nn {
namespace {

std::atomic<int64_t> counted{0};
std::atomic<bool> counting{false};

// Input i if it is a tensor, else an undefined one.
at::Tensor TensorAt(c10::ArrayRef<const c10::IValue> inputs, size_t i) {
  return i < inputs.size() && inputs[i].isTensor() ? inputs[i].toTensor() : at::Tensor();
}

int64_t Product(const at::Tensor& a, const at::Tensor& b) {  // (…, M, K) x (…, K, N)
  return a.defined() && b.defined() ? 2 * a.numel() * b.size(-1) : 0;
}

// Multiply-adds of one pass: every element of the (dense) output side meets one filter.
int64_t Convolution(const at::Tensor& input, const at::Tensor& weight, int64_t output_positions,
                    bool transposed) {
  const int64_t positions = transposed ? input.numel() / input.size(1) : output_positions;
  return 2 * positions * weight.numel();
}

int64_t FlopsOf(const at::RecordFunction& function) {
  const std::string_view name = function.name();
  if (name != "aten::mm" && name != "aten::bmm" && name != "aten::addmm" &&
      name != "aten::baddbmm" && name != "aten::convolution" &&
      name != "aten::convolution_backward") {
    return 0;  // not all operators have inputs to ask for
  }
  const c10::ArrayRef<const c10::IValue> inputs = function.inputs();
  if (name == "aten::mm" || name == "aten::bmm") {
    return Product(TensorAt(inputs, 0), TensorAt(inputs, 1));
  }
  if (name == "aten::addmm" || name == "aten::baddbmm") {
    return Product(TensorAt(inputs, 1), TensorAt(inputs, 2));
  }
  if (name == "aten::convolution") {
    // input, weight, bias, stride, padding, dilation, transposed, …
    const auto input = TensorAt(inputs, 0), weight = TensorAt(inputs, 1);
    if (inputs.size() < 7 || !input.defined() || !weight.defined()) {
      return 0;
    }
    const auto stride = inputs[3].toIntVector(), padding = inputs[4].toIntVector(),
               dilation = inputs[5].toIntVector();
    int64_t positions = input.size(0);
    for (size_t d = 0; d < stride.size(); ++d) {
      const auto axis = static_cast<int64_t>(d) + 2;
      positions *= (input.size(axis) + 2 * padding[d] - dilation[d] * (weight.size(axis) - 1) - 1) /
                       stride[d] +
                   1;
    }
    return Convolution(input, weight, positions, inputs[6].toBool());
  }
  if (name == "aten::convolution_backward") {
    // grad_output, input, weight, bias_sizes, stride, padding, dilation, transposed,
    // output_padding, groups, output_mask
    const auto gradient = TensorAt(inputs, 0), input = TensorAt(inputs, 1),
               weight = TensorAt(inputs, 2);
    if (inputs.size() < 11 || !gradient.defined() || !input.defined() || !weight.defined()) {
      return 0;
    }
    const auto mask = inputs[10].toBoolList();
    const int64_t passes = (mask.get(0) ? 1 : 0) + (mask.get(1) ? 1 : 0);
    return passes *
           Convolution(input, weight, gradient.numel() / gradient.size(1), inputs[7].toBool());
  }
  return 0;
}

// Operators may call one another (autocast's do): the outermost of those that count counts.
thread_local int depth = 0;
struct Counted : at::ObserverContext {
  Counted() { ++depth; }
  ~Counted() override { --depth; }
};

std::unique_ptr<at::ObserverContext> Count(const at::RecordFunction& function) {
  const int64_t flops = FlopsOf(function);
  if (flops == 0) {
    return nullptr;
  }
  counted += depth == 0 ? flops : 0;
  return std::make_unique<Counted>();
}

}  // namespace

FlopMeter::FlopMeter() {
  HID_CHECK(!counting.exchange(true), "two FLOP meters at a time");
  counted = 0;
  handle_ = at::addGlobalCallback(
      at::RecordFunctionCallback(&Count).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
}

FlopMeter::~FlopMeter() {
  at::removeCallback(handle_);
  counting = false;
}

int64_t FlopMeter::flops() const { return counted; }

void CountFlops(int64_t flops) {
  if (counting) {
    counted += flops;
  }
}

}  // namespace hidreamer::nn
