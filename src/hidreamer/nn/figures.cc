#include "hidreamer/nn/figures.h"

#include <algorithm>
#include <map>

#include "hidreamer/base/error.h"

namespace hidreamer::nn {

void Figures::Add(const std::string& name, const torch::Tensor& value) {
  HID_CHECK(value.numel() == 1, "{} has {} numbers", name, value.numel());
  entries_.push_back({name, value.detach().reshape({})});
}

void Figures::Add(const std::string& name, double value) {
  Add(name, torch::tensor(value, torch::kFloat64));
}

void Figures::Add(const std::string& name, int64_t value) {
  Add(name, torch::tensor(value, torch::kInt64));
}

void Figures::Add(const Figures& others) {
  entries_.insert(entries_.end(), others.entries_.begin(), others.entries_.end());
}

bool Figures::AtHand() const {
  return std::ranges::all_of(entries_, [](const Entry& entry) { return entry.value.is_cpu(); });
}

nlohmann::json Figures::Read() const {
  std::vector<torch::Tensor> on_device;
  for (const Entry& entry : entries_) {
    if (!entry.value.is_cpu()) {
      on_device.push_back(entry.value.to(torch::kFloat64));
    }
  }
  const auto fetched =
      on_device.empty() ? torch::Tensor() : torch::stack(on_device).to(torch::kCPU);
  std::map<std::string, std::pair<double, int64_t>> sums;
  int64_t next = 0;
  for (const Entry& entry : entries_) {
    auto& [sum, count] = sums[entry.name];
    sum += entry.value.is_cpu() ? entry.value.item<double>() : fetched[next++].item<double>();
    ++count;
  }
  auto log = nlohmann::json::object();
  for (const auto& [name, sum] : sums) {
    log[name] = sum.first / static_cast<double>(sum.second);
  }
  for (const Entry& entry : entries_) {  // a count stays one
    if (entry.value.is_cpu() && entry.value.scalar_type() == torch::kInt64 &&
        sums.at(entry.name).second == 1) {
      log[entry.name] = entry.value.item<int64_t>();
    }
  }
  return log;
}

}  // namespace hidreamer::nn
