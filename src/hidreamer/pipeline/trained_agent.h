#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/config/dump.h"

// A trained agent as it is published: what it was trained with, and its weights in a small folder.
namespace hidreamer::pipeline {

// "cpu", or "cpu, world_model.channels=64": the preset that an agent's settings differ from least,
// and where they differ. Game, seed and how often it was scored on the way do not count.
std::string NameSetting(const config::Settings& settings);

// {"trained", "scored"} of a published agent: DescribeTraining, and what hidreamer eval wrote.
// Empty where the run is another's.
nlohmann::json ReadModelJson(const std::filesystem::path& run);

// {"setting", "game", "seed", "steps", "seconds", "commands", "machine", "precision", "threads",
//  "versions"} of a finished agent, or what its model.json says; empty where the run is another's.
nlohmann::json DescribeTraining(const std::filesystem::path& run);

// Writes DIRECTORY/agent/model.safetensors, the weights of RUN's agent (the tokenizer's as they
// are, the others in half precision, no slow critic), beginnings for its dreams, and
// DIRECTORY/model.json. The directory is a run for every command that needs these alone. Throws a
// user Error where `scores`, which hidreamer eval wrote, are of another agent, or the directory is
// there and is not such a one.
void PackAgent(const std::filesystem::path& run, const std::filesystem::path& directory,
               const std::filesystem::path& scores);

// Where agents lie that can be named: $HIDREAMER_MODELS, then models/ beside the program's share
// directory, then of the sources it was built from. Only those that exist.
std::vector<std::filesystem::path> ModelDirectories();

// A run that a user names: the path itself where there is something; else the published agent of
// that name; else the path.
std::filesystem::path FindRun(const std::string& name);

}  // namespace hidreamer::pipeline
