#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <memory>
#include <string>

#include "hidreamer/imagination/agent.h"

namespace hidreamer::agent {

struct LoadOptions {
  torch::Device device = torch::kCPU;
  bool pictures = true;  // its codes are to be shown
};
// The finished agent of RUN: of hidreamer agent, or, in a staged run, encoder, tokenizer, world
// model and the policy of `game`, drawn with the frames of its recording. game "": the only one.
// Throws a user Error where the run holds none, or no recording to draw with.
std::shared_ptr<imagination::Agent> LoadAgent(const std::filesystem::path& run,
                                              const std::string& game,
                                              const LoadOptions& options = {});

}  // namespace hidreamer::agent
