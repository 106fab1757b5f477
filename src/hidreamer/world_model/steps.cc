#include "hidreamer/world_model/steps.h"

#include <utility>

#include "hidreamer/training/device.h"

namespace hidreamer::world_model {
namespace {

// `take` of every field that is there.
template <typename Take>
Steps ForEach(const Steps& steps, const Take& take) {
  const auto field = [&](torch::Tensor Steps::*which) {
    return (steps.*which).defined() ? take(which) : torch::Tensor();
  };
  return {.codes = field(&Steps::codes),
          .values = field(&Steps::values),
          .previous_actions = field(&Steps::previous_actions),
          .firsts = field(&Steps::firsts),
          .actions = field(&Steps::actions),
          .rewards = field(&Steps::rewards),
          .terminals = field(&Steps::terminals)};
}

}  // namespace

Steps Steps::Some(int64_t begin, int64_t count) const {
  return ForEach(
      *this, [&](torch::Tensor Steps::*field) { return (this->*field).narrow(0, begin, count); });
}

Steps Steps::Between(int64_t begin, int64_t end) const {
  return ForEach(*this, [&](torch::Tensor Steps::*field) {
    return (this->*field).narrow(1, begin, end - begin);
  });
}

Steps Steps::FollowedBy(const Steps& next) const {
  return ForEach(*this, [&](torch::Tensor Steps::*field) {
    return torch::cat({this->*field, next.*field}, 1);
  });
}

Steps Steps::To(torch::Device device) const {
  return ForEach(
      *this, [&](torch::Tensor Steps::*field) { return training::ToDevice(this->*field, device); });
}

std::vector<torch::Tensor> Steps::ToTensors() const {
  return {codes, values, previous_actions, firsts, actions, rewards, terminals};
}

Steps Steps::FromTensors(const std::vector<torch::Tensor>& tensors) {
  return {.codes = tensors.at(0),
          .values = tensors.at(1),
          .previous_actions = tensors.at(2),
          .firsts = tensors.at(3),
          .actions = tensors.at(4),
          .rewards = tensors.at(5),
          .terminals = tensors.at(6)};
}

}  // namespace hidreamer::world_model
