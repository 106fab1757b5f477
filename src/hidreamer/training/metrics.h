#pragma once

#include <torch/torch.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/base/error.h"

namespace hidreamer::training {

// Thrown where a number of a training update is NaN or infinite.
class NotFinite : public Error {
 public:
  explicit NotFinite(const std::string& number)
      : Error(Kind::kUser, number + " is NaN or infinite", "lower the learning rate"),
        number_(number) {}
  const std::string& number() const { return number_; }

 private:
  std::string number_;
};

// Throws NotFinite where `value` () is at hand, and is. On a device that would wait for it.
void RequireFinite(const std::string& name, const torch::Tensor& value);

// What an update has to log. Numbers that lie on a device stay there until Read fetches them all at
// once: asking for each of them would make the host wait for the device in the middle of the work.
class Metrics {
 public:
  // value () of any type, not changed afterwards. Several values of one name are averaged. Throws
  // NotFinite where a value that is at hand is: add the losses and the norm of the gradient before
  // the optimizer's step, and it is not made.
  void Add(const std::string& name, const torch::Tensor& value);
  void Add(const std::string& name, double value);
  void Add(const std::string& name, int64_t value);
  void Add(const Metrics& others);

  bool AtHand() const;          // nothing lies on a device: Read does not wait
  nlohmann::json Read() const;  // {"loss": 0.41, …}
  // The same of several updates, fetched at once.
  static std::vector<nlohmann::json> ReadAll(const std::vector<Metrics>& updates);

 private:
  struct Entry {
    std::string name;
    torch::Tensor value;  // ()
  };
  std::vector<Entry> entries_;
};

}  // namespace hidreamer::training
