#include "hidreamer/performance/workload.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "hidreamer/base/error.h"

namespace hidreamer::performance {

const std::vector<NamedWorkload>& AllWorkloads() {
  static const std::vector<NamedWorkload> all = {{"world_model_train", WorldModelTrain},
                                                 {"world_model_forward", WorldModelForward},
                                                 {"imagination", Imagination},
                                                 {"hrvq_encode", HrvqEncode},
                                                 {"hrvq_train", HrvqTrain},
                                                 {"encoder_forward", EncoderForward},
                                                 {"infonce_step", InfoNceStep},
                                                 {"atari", Atari},
                                                 {"window_sampling", WindowSampling}};
  return all;
}

std::vector<NamedWorkload> SelectWorkloads(const std::vector<std::string>& names) {
  std::vector<std::string> known;
  for (const NamedWorkload& workload : AllWorkloads()) {
    known.push_back(workload.name);
  }
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string nearest = NearestName(name, known);
      throw UserError(nearest.empty() ? fmt::format("one of {}", fmt::join(known, ", "))
                                      : fmt::format("did you mean {}?", nearest),
                      "no benchmark '{}'", name);
    }
  }
  std::vector<NamedWorkload> selected;
  std::copy_if(AllWorkloads().begin(), AllWorkloads().end(), std::back_inserter(selected),
               [&](const NamedWorkload& workload) {
                 return names.empty() ||
                        std::find(names.begin(), names.end(), workload.name) != names.end();
               });
  return selected;
}

}  // namespace hidreamer::performance
