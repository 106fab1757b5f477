#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "hidreamer/training/learner.h"
#include "hidreamer/training/process_group.h"

namespace hidreamer::training {

struct TrainingOptions {
  std::filesystem::path directory;  // of the stage; holds model.safetensors at the end
  double checkpoint_seconds = 60;   // 0: after every update
  nlohmann::json identity;          // kept in each checkpoint; another "config" there is an error
  std::map<std::string, std::string> metadata;  // of model.safetensors: the model's options
  std::string title = {};                       // of the progress line; empty: the learner's name
  bool publish_often = false;     // model.safetensors with every checkpoint, to be judged
                                  // while training goes on; else at the end alone
  bool keep_last_state = false;   // as a checkpoint, so that a finished stage can be gone on with
  ProcessGroup* group = nullptr;  // that trains together: its leader alone reads and writes
                                  // files; the others start from what it has read
};

struct TrainingResult {
  int64_t updates = 0;  // done by this call
  // Of all calls that the result is made of; what a kill lost does not count.
  double seconds = 0;
};

// Runs all updates of a learner that are not yet done:
//   directory/checkpoints/       where a killed run goes on, to the bit
//   directory/training.json      {"updates": how many there are to be}
//   directory/metrics.jsonl      {"step", "time", "loss", …} and {"step", "epoch", "time", …}
//   directory/events.out.tfevents.…  the same for TensorBoard
//   directory/model.safetensors  the "model." entries of the state, without that prefix
// Where an interrupt is requested: writes a checkpoint and throws Interrupted, in an update or in
// what follows an epoch. A number that is NaN or infinite: a user Error that names it; what the
// update learned from is saved in directory/nan_update_N/, and no checkpoint holds such numbers.
TrainingResult Train(Learner& learner, const TrainingOptions& options);

}  // namespace hidreamer::training
