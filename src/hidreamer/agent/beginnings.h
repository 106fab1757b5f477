#pragma once

#include <filesystem>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/world_model/steps.h"

namespace hidreamer::agent {

// Beginnings of dreams that run without a game: windows of `context` steps (B, context, …), each
// from one episode. A published agent carries them (RUN/agent/beginnings.safetensors). For other
// runs they are drawn from the newest quarter of the replay, when the agent has learned to play.
// Throws a user Error if the run has neither.
world_model::Steps ReadBeginnings(AgentModels models, const std::filesystem::path& run);

// Writes RUN/agent/beginnings.safetensors.
void SaveBeginnings(const world_model::Steps& beginnings, const std::filesystem::path& run);

}  // namespace hidreamer::agent
