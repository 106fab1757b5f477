#pragma once

#include <torch/torch.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace hidreamer::nn {

// What an update has to log. Numbers that lie on a device stay there until Read fetches them all at
// once: asking for each of them would make the host wait for the device in the middle of the work.
class Figures {
 public:
  // value () of any type, not changed afterwards. Several values of one name are averaged.
  void Add(const std::string& name, const torch::Tensor& value);
  void Add(const std::string& name, double value);
  void Add(const std::string& name, int64_t value);
  void Add(const Figures& others);

  bool AtHand() const;          // nothing lies on a device: Read does not wait
  nlohmann::json Read() const;  // {"loss": 0.41, …}

 private:
  struct Entry {
    std::string name;
    torch::Tensor value;  // ()
  };
  std::vector<Entry> entries_;
};

}  // namespace hidreamer::nn
