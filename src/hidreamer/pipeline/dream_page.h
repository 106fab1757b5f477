#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/world_model/steps.h"

namespace hidreamer::pipeline {

// An agent's dream as web::DreamPage takes it, without "about": tokenizer, world model and actor,
// rounded to half precision, and windows of one episode each (B, T, …) that dreams begin in. Throws
// a user Error for a world that the page cannot dream in and for weights beyond half precision.
nlohmann::json DescribeDream(agent::AgentModels models, const world_model::Steps& starts,
                             const std::vector<std::string>& action_names);

// The page of an agent, published or of a run that may be training still. Throws a user Error where
// there is no agent, no beginning for its dreams (agent::ReadBeginnings), or no ROM of its game.
std::string DreamPageOf(const std::filesystem::path& run);

}  // namespace hidreamer::pipeline
