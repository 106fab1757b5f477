#include "hidreamer/training/optimizer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "hidreamer/base/error.h"
#include "hidreamer/kernels/adam.h"
#include "hidreamer/training/device.h"
#include "hidreamer/training/torch_compat.h"

namespace hidreamer::training {
namespace {

torch::Tensor ZerosLike(const NamedParameter& parameter) {
  return torch::zeros_like(parameter.value, torch::MemoryFormat::Contiguous).detach();
}

// Parameters with a gradient in groups whose steps are computed as one: on a GPU all of them, which
// spares thousands of small kernels; on a CPU each alone, which keeps it in the cache.
std::vector<std::vector<size_t>> SteppedTogether(const std::vector<NamedParameter>& parameters) {
  std::vector<std::vector<size_t>> groups;
  std::vector<size_t> on_gpu;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!parameters[i].value.grad().defined()) {
      continue;
    }
    if (parameters[i].value.is_cuda()) {
      on_gpu.push_back(i);
    } else {
      groups.push_back({i});
    }
  }
  if (!on_gpu.empty()) {
    groups.push_back(on_gpu);
  }
  return groups;
}

bool ArePlain(const std::vector<torch::Tensor>& tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const torch::Tensor& x) {
    return x.is_cpu() && x.scalar_type() == torch::kFloat32 && x.is_contiguous();
  });
}

// Blocks of all tensors, spread over the threads.
void StepInOnePass(const kernels::AdamCoefficients& coefficients,
                   const std::vector<torch::Tensor>& gradients,
                   const std::vector<torch::Tensor>& parameters,
                   const std::vector<torch::Tensor>& m, const std::vector<torch::Tensor>& v) {
  constexpr int64_t kBlock = 1 << 15;
  struct Block {
    size_t tensor;
    int64_t begin, size;
  };
  std::vector<Block> blocks;
  for (size_t i = 0; i < parameters.size(); ++i) {
    for (int64_t begin = 0; begin < parameters[i].numel(); begin += kBlock) {
      blocks.push_back({i, begin, std::min(kBlock, parameters[i].numel() - begin)});
    }
  }
  at::parallel_for(0, static_cast<int64_t>(blocks.size()), 4, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      const auto [i, begin, size] = blocks[static_cast<size_t>(b)];
      kernels::StepAdam(coefficients, gradients[i].data_ptr<float>() + begin, size,
                        parameters[i].data_ptr<float>() + begin, m[i].data_ptr<float>() + begin,
                        v[i].data_ptr<float>() + begin);
    }
  });
  for (const auto* changed : {&parameters, &m, &v}) {  // what torch's own operators would tell
    for (const torch::Tensor& x : *changed) {
      x.unsafeGetTensorImpl()->bump_version();
    }
  }
}

}  // namespace

std::vector<NamedParameter> NamedParameters(const torch::nn::Module& module,
                                            const std::string& prefix) {
  std::vector<NamedParameter> parameters;
  for (const auto& item : module.named_parameters()) {
    if (item.value().requires_grad()) {
      parameters.push_back({prefix + item.key(), item.value()});
    }
  }
  return parameters;
}

void Optimizer::ZeroGrad() {
  for (NamedParameter& parameter : parameters_) {
    parameter.value.mutable_grad().reset();
  }
}

void Optimizer::LoadState(const formats::TensorMap& state) {
  torch::NoGradGuard no_grad;
  formats::TensorMap own = State();
  for (const auto& [name, tensor] : own) {
    const auto found = state.find(name);
    if (found == state.end() || found->second.sizes() != tensor.sizes()) {
      throw UserError("the checkpoint belongs to another model or an older version",
                      "the saved optimizer state {} {}",
                      found == state.end() ? "lacks" : "does not fit", name);
    }
  }
  if (state.size() != own.size()) {
    throw UserError("the checkpoint belongs to another model or an older version",
                    "the saved optimizer state has {} entries, expected {}", state.size(),
                    own.size());
  }
  for (auto& [name, tensor] : own) {
    tensor.copy_(state.at(name));
  }
}

Adam::Adam(std::vector<NamedParameter> parameters, AdamOptions options)
    : Optimizer(std::move(parameters)), options_(options), step_(torch::zeros({}, torch::kInt64)) {
  for (const NamedParameter& parameter : parameters_) {
    m_.push_back(ZerosLike(parameter));
    v_.push_back(ZerosLike(parameter));
  }
}

torch::Tensor Adam::Begin(double lr) {
  const auto count = static_cast<double>(step_.add_(1).item<int64_t>());
  const torch::Device device =
      parameters_.empty() ? torch::Device(torch::kCPU) : parameters_[0].value.device();
  return ToDevice(torch::tensor({lr, count}, torch::kFloat64), device);
}

void Adam::Apply(const torch::Tensor& step) {
  torch::NoGradGuard no_grad;
  for (const std::vector<size_t>& together : SteppedTogether(parameters_)) {
    std::vector<torch::Tensor> parameters, gradients, m, v;
    for (const size_t i : together) {
      parameters.push_back(parameters_[i].value);
      gradients.push_back(parameters_[i].value.grad());
      m.push_back(m_[i]);
      v.push_back(v_[i]);
    }
    if (compat::FusedAdam(parameters, gradients, m, v, step, options_.beta1, options_.beta2,
                          options_.weight_decay, options_.epsilon, options_.decoupled)) {
      continue;
    }
    const double lr = step[0].item<double>(), count = step[1].item<double>();
    const double correction1 = 1 - std::pow(options_.beta1, count);
    const double correction2_root = std::sqrt(1 - std::pow(options_.beta2, count));
    if (ArePlain(parameters) && ArePlain(gradients)) {
      const auto narrow = [](double number) { return static_cast<float>(number); };
      StepInOnePass({.keep = narrow(options_.decoupled ? 1 - lr * options_.weight_decay : 1),
                     .decay = narrow(options_.decoupled ? 0 : options_.weight_decay),
                     .beta1 = narrow(options_.beta1),
                     .beta2 = narrow(options_.beta2),
                     .correction2_root = narrow(correction2_root),
                     .epsilon = narrow(options_.epsilon),
                     .rate = narrow(lr / correction1)},
                    gradients, parameters, m, v);
      continue;
    }
    if (options_.weight_decay != 0) {
      if (options_.decoupled) {
        at::_foreach_mul_(parameters, 1 - lr * options_.weight_decay);
      } else {
        gradients = at::_foreach_add(gradients, parameters, options_.weight_decay);
      }
    }
    at::_foreach_mul_(m, options_.beta1);
    at::_foreach_add_(m, gradients, 1 - options_.beta1);
    at::_foreach_mul_(v, options_.beta2);
    at::_foreach_addcmul_(v, gradients, gradients, 1 - options_.beta2);
    auto denominators = at::_foreach_sqrt(v);
    at::_foreach_div_(denominators, correction2_root);
    at::_foreach_add_(denominators, options_.epsilon);
    at::_foreach_addcdiv_(parameters, m, denominators, -lr / correction1);
  }
}

formats::TensorMap Adam::State() const {
  formats::TensorMap state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    state.emplace(parameters_[i].name + ".m", m_[i]);
    state.emplace(parameters_[i].name + ".v", v_[i]);
  }
  state.emplace("step", step_);
  return state;
}

Muon::Muon(std::vector<NamedParameter> parameters, MuonOptions options)
    : Optimizer(std::move(parameters)), options_(options) {
  for (const NamedParameter& parameter : parameters_) {
    HID_CHECK(parameter.value.dim() >= 2, "{} is no matrix", parameter.name);
    momentum_.push_back(ZerosLike(parameter));
  }
}

void Muon::Step(double lr) {
  torch::NoGradGuard no_grad;
  for (const std::vector<size_t>& together : SteppedTogether(parameters_)) {
    std::vector<torch::Tensor> parameters, gradients, momenta;
    for (const size_t i : together) {
      parameters.push_back(parameters_[i].value);
      gradients.push_back(parameters_[i].value.grad());
      momenta.push_back(momentum_[i]);
    }
    at::_foreach_mul_(momenta, options_.momentum);
    at::_foreach_add_(momenta, gradients);
    const auto directions = at::_foreach_add(gradients, momenta, options_.momentum);
    std::vector<torch::Tensor> matrices;
    for (const torch::Tensor& direction : directions) {
      matrices.push_back(direction.flatten(1));
    }
    auto steps = NearlyOrthogonal(matrices);
    for (size_t i = 0; i < steps.size(); ++i) {
      // A tall matrix's columns must not move less for having more rows to share their length.
      const auto rows = static_cast<double>(steps[i].size(0));
      const double tall = std::max(1.0, rows / static_cast<double>(steps[i].size(1)));
      steps[i] = steps[i].mul_(std::sqrt(tall)).view(parameters[i].sizes());
    }
    at::_foreach_mul_(parameters, 1 - lr * options_.weight_decay);
    at::_foreach_add_(parameters, steps, -lr);
  }
}

formats::TensorMap Muon::State() const {
  formats::TensorMap state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    state.emplace(parameters_[i].name + ".momentum", momentum_[i]);
  }
  return state;
}

MuonWithAdam::MuonWithAdam(const std::vector<NamedParameter>& parameters,
                           const std::vector<torch::Tensor>& matrices, MuonOptions muon,
                           AdamOptions adam)
    : parameters_(parameters), muon_({}, muon), adam_({}, adam) {
  std::vector<NamedParameter> stepped_by_muon, stepped_by_adam;
  for (const NamedParameter& parameter : parameters) {
    const bool matrix = std::ranges::any_of(
        matrices, [&](const torch::Tensor& other) { return other.is_same(parameter.value); });
    (matrix ? stepped_by_muon : stepped_by_adam).push_back(parameter);
  }
  HID_CHECK(stepped_by_muon.size() == matrices.size(), "{} of {} matrices are among the parameters",
            stepped_by_muon.size(), matrices.size());
  muon_ = Muon(stepped_by_muon, muon);
  adam_ = Adam(stepped_by_adam, adam);
}

void MuonWithAdam::Step(double matrix_lr, double lr) {
  muon_.Step(matrix_lr);
  adam_.Step(lr);
}

formats::TensorMap MuonWithAdam::State() const {
  formats::TensorMap state;
  formats::InsertWithPrefix(state, muon_.State(), "muon.");
  formats::InsertWithPrefix(state, adam_.State(), "adam.");
  return state;
}

void MuonWithAdam::LoadState(const formats::TensorMap& state) {
  muon_.LoadState(formats::WithoutPrefix(state, "muon."));
  adam_.LoadState(formats::WithoutPrefix(state, "adam."));
}

std::vector<torch::Tensor> NearlyOrthogonal(const std::vector<torch::Tensor>& matrices) {
  constexpr double kLinear = 3.4445, kCubic = -4.7750, kQuintic = 2.0315;
  // Lying matrices of one shape as one batch: the products below are of the shorter side.
  std::map<std::vector<int64_t>, std::vector<size_t>> of_shape;
  std::vector<torch::Tensor> lying;
  for (size_t i = 0; i < matrices.size(); ++i) {
    const bool tall = matrices[i].size(0) > matrices[i].size(1);
    lying.push_back(tall ? matrices[i].t() : matrices[i]);
    of_shape[lying.back().sizes().vec()].push_back(i);
  }
  std::vector<torch::Tensor> results(matrices.size());
  for (const auto& [shape, members] : of_shape) {
    std::vector<torch::Tensor> alike;
    for (const size_t i : members) {
      alike.push_back(lying[i]);
    }
    torch::Tensor x = torch::stack(alike);  // (M, short, long)
    x = x / (x.norm(2, {1, 2}, /*keepdim=*/true) + 1e-7);
    for (int step = 0; step < 5; ++step) {
      const auto gram = x.bmm(x.transpose(1, 2));
      x = torch::baddbmm(x, torch::baddbmm(gram, gram, gram, kCubic, kQuintic), x, kLinear);
    }
    for (size_t m = 0; m < members.size(); ++m) {
      const auto result = x[static_cast<int64_t>(m)];
      const bool tall = matrices[members[m]].size(0) > matrices[members[m]].size(1);
      results[members[m]] = tall ? result.t().contiguous() : result;
    }
  }
  return results;
}

void MoveTowards(torch::nn::Module& target, const torch::nn::Module& source, double share) {
  torch::NoGradGuard no_grad;
  auto to = target.parameters();
  const auto from = source.parameters();
  HID_CHECK(to.size() == from.size(), "{} and {} parameters", to.size(), from.size());
  compat::LerpAll(to, from, share);
}

torch::Tensor ClipGradNorm(const std::vector<NamedParameter>& parameters, double max_norm) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> gradients;
  for (const NamedParameter& parameter : parameters) {
    if (parameter.value.grad().defined()) {
      gradients.push_back(parameter.value.grad());
    }
  }
  if (gradients.empty()) {
    return torch::zeros({});
  }
  const torch::Tensor norm = torch::stack(at::_foreach_norm(gradients)).norm().to(torch::kFloat32);
  if (!(norm.device().is_cpu() && norm.item<double>() <= max_norm)) {
    // On a CPU the norm is known and most updates need no scaling; elsewhere reading it would wait.
    compat::ScaleAll(gradients, (max_norm / (norm + 1e-6)).clamp_max(1.0));
  }
  return norm;
}

double Cosine(double first, double last, double progress) {
  const double falling = 0.5 * (1 + std::cos(std::numbers::pi * std::clamp(progress, 0.0, 1.0)));
  return last + (first - last) * falling;
}

double WarmupCosine(int64_t update, int64_t warmup, int64_t total, double final_share) {
  HID_CHECK(update >= 0 && warmup >= 0, "update = {}, warmup = {}", update, warmup);
  if (update < warmup) {
    return static_cast<double>(update + 1) / static_cast<double>(warmup);
  }
  if (update >= total || total <= warmup) {
    return final_share;
  }
  const double progress =
      static_cast<double>(update - warmup) / static_cast<double>(total - warmup);
  return Cosine(1, final_share, progress);
}

}  // namespace hidreamer::training
