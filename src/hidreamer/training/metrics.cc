#include "hidreamer/training/metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace hidreamer::training {

void RequireFinite(const std::string& name, const torch::Tensor& value) {
  if (value.is_cpu() && value.is_floating_point() && !std::isfinite(value.item<double>())) {
    throw NotFinite(name);
  }
}

void Metrics::Add(const std::string& name, const torch::Tensor& value) {
  HID_CHECK(value.numel() == 1, "{} has {} numbers", name, value.numel());
  RequireFinite(name, value);
  entries_.push_back({name, value.detach().reshape({})});
}

void Metrics::Add(const std::string& name, double value) {
  Add(name, torch::tensor(value, torch::kFloat64));
}

void Metrics::Add(const std::string& name, int64_t value) {
  Add(name, torch::tensor(value, torch::kInt64));
}

void Metrics::Add(const Metrics& others) {
  entries_.insert(entries_.end(), others.entries_.begin(), others.entries_.end());
}

bool Metrics::AtHand() const {
  return std::ranges::all_of(entries_, [](const Entry& entry) { return entry.value.is_cpu(); });
}

nlohmann::json Metrics::Read() const { return ReadAll({*this}).front(); }

std::vector<nlohmann::json> Metrics::ReadAll(const std::vector<Metrics>& updates) {
  std::map<torch::ScalarType, std::vector<torch::Tensor>> on_device;
  for (const Metrics& update : updates) {
    for (const Entry& entry : update.entries_) {
      if (!entry.value.is_cpu()) {
        on_device[entry.value.scalar_type()].push_back(entry.value);
      }
    }
  }
  std::vector<torch::Tensor> rows;
  std::map<torch::ScalarType, int64_t> next;  // place of a type's next number
  int64_t count = 0;
  for (const auto& [type, values] : on_device) {
    rows.push_back(torch::stack(values).to(torch::kFloat64));
    next[type] = count;
    count += std::ssize(values);
  }
  const auto fetched = rows.empty() ? torch::Tensor() : torch::cat(rows).to(torch::kCPU);
  std::vector<nlohmann::json> logs;
  for (const Metrics& update : updates) {
    std::map<std::string, std::pair<double, int64_t>> sums;
    for (const Entry& entry : update.entries_) {
      auto& [sum, values] = sums[entry.name];
      sum += entry.value.is_cpu() ? entry.value.item<double>()
                                  : fetched[next[entry.value.scalar_type()]++].item<double>();
      ++values;
    }
    auto log = nlohmann::json::object();
    for (const auto& [name, sum] : sums) {
      log[name] = sum.first / static_cast<double>(sum.second);
    }
    for (const Entry& entry : update.entries_) {  // a count stays one
      if (entry.value.is_cpu() && entry.value.scalar_type() == torch::kInt64 &&
          sums.at(entry.name).second == 1) {
        log[entry.name] = entry.value.item<int64_t>();
      }
    }
    logs.push_back(std::move(log));
  }
  return logs;
}

}  // namespace hidreamer::training
