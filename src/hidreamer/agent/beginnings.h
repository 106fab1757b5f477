#pragma once

#include <filesystem>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/world_model/steps.h"

namespace hidreamer::agent {

// Where dreams begin that no game runs beside: some windows of `context` steps, each of one
// episode. They are those that a published agent carries, RUN/agent/beginnings.safetensors, else
// some of the newest quarter of the run's replay: by then the agent plays. Throws a user Error
// where there are neither.
world_model::Steps ReadBeginnings(AgentModels models, const std::filesystem::path& run);

// Writes them for a published agent.
void SaveBeginnings(const world_model::Steps& beginnings, const std::filesystem::path& run);

}  // namespace hidreamer::agent
