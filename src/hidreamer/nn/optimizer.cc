#include "hidreamer/nn/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "hidreamer/base/error.h"

namespace hidreamer::nn {
namespace {

torch::Tensor ZerosLike(const NamedParameter& parameter) {
  return torch::zeros_like(parameter.value, torch::MemoryFormat::Contiguous).detach();
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

void Optimizer::LoadState(const TensorMap& state) {
  torch::NoGradGuard no_grad;
  TensorMap own = State();
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

void Adam::Step(double lr) {
  torch::NoGradGuard no_grad;
  const auto step = static_cast<double>(step_.add_(1).item<int64_t>());
  const double correction1 = 1 - std::pow(options_.beta1, step);
  const double correction2_root = std::sqrt(1 - std::pow(options_.beta2, step));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    torch::Tensor& parameter = parameters_[i].value;
    torch::Tensor gradient = parameter.grad();
    if (!gradient.defined()) {
      continue;
    }
    if (options_.weight_decay != 0) {
      if (options_.decoupled) {
        parameter.mul_(1 - lr * options_.weight_decay);
      } else {
        gradient = gradient.add(parameter, options_.weight_decay);
      }
    }
    m_[i].mul_(options_.beta1).add_(gradient, 1 - options_.beta1);
    v_[i].mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
    const torch::Tensor denominator = v_[i].sqrt().div_(correction2_root).add_(options_.epsilon);
    parameter.addcdiv_(m_[i], denominator, -lr / correction1);
  }
}

TensorMap Adam::State() const {
  TensorMap state;
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
  for (size_t i = 0; i < parameters_.size(); ++i) {
    torch::Tensor& parameter = parameters_[i].value;
    const torch::Tensor gradient = parameter.grad();
    if (!gradient.defined()) {
      continue;
    }
    momentum_[i].mul_(options_.momentum).add_(gradient);
    const auto matrix = gradient.add(momentum_[i], options_.momentum).flatten(1);
    // A tall matrix's columns must not move less for having more rows to share their length.
    const double tall =
        std::max(1.0, static_cast<double>(matrix.size(0)) / static_cast<double>(matrix.size(1)));
    parameter.mul_(1 - lr * options_.weight_decay)
        .add_(NearlyOrthogonal(matrix).view(parameter.sizes()), -lr * std::sqrt(tall));
  }
}

TensorMap Muon::State() const {
  TensorMap state;
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

void MuonWithAdam::ZeroGrad() {
  muon_.ZeroGrad();
  adam_.ZeroGrad();
}

void MuonWithAdam::Step(double matrix_lr, double lr) {
  muon_.Step(matrix_lr);
  adam_.Step(lr);
}

TensorMap MuonWithAdam::State() const {
  TensorMap state;
  InsertWithPrefix(state, muon_.State(), "muon.");
  InsertWithPrefix(state, adam_.State(), "adam.");
  return state;
}

void MuonWithAdam::LoadState(const TensorMap& state) {
  muon_.LoadState(WithoutPrefix(state, "muon."));
  adam_.LoadState(WithoutPrefix(state, "adam."));
}

torch::Tensor NearlyOrthogonal(const torch::Tensor& matrix) {
  constexpr double kLinear = 3.4445, kCubic = -4.7750, kQuintic = 2.0315;
  const bool tall = matrix.size(0) > matrix.size(1);
  torch::Tensor x = tall ? matrix.t() : matrix;  // the products below are of the shorter side
  x = x / (x.norm() + 1e-7);
  for (int step = 0; step < 5; ++step) {
    const auto gram = x.mm(x.t());
    x = torch::addmm(x, torch::addmm(gram, gram, gram, kCubic, kQuintic), x, kLinear);
  }
  return tall ? x.t().contiguous() : x;
}

void MoveTowards(torch::nn::Module& target, const torch::nn::Module& source, double share) {
  torch::NoGradGuard no_grad;
  auto to = target.parameters();
  const auto from = source.parameters();
  HID_CHECK(to.size() == from.size(), "{} and {} parameters", to.size(), from.size());
  for (size_t i = 0; i < to.size(); ++i) {
    to[i].lerp_(from[i], share);
  }
}

torch::Tensor ClipGradNorm(const std::vector<NamedParameter>& parameters, double max_norm) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> gradients;
  std::vector<torch::Tensor> norms;
  for (const NamedParameter& parameter : parameters) {
    if (parameter.value.grad().defined()) {
      gradients.push_back(parameter.value.grad());
      norms.push_back(gradients.back().norm());
    }
  }
  if (gradients.empty()) {
    return torch::zeros({});
  }
  const torch::Tensor norm = torch::stack(norms).norm().to(torch::kFloat32);
  if (!(norm.device().is_cpu() && norm.item<double>() <= max_norm)) {
    // On a CPU the norm is known and most updates need no scaling; elsewhere reading it would wait.
    const torch::Tensor scale = (max_norm / (norm + 1e-6)).clamp_max(1.0);
    for (torch::Tensor& gradient : gradients) {
      gradient.mul_(scale);
    }
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

}  // namespace hidreamer::nn
