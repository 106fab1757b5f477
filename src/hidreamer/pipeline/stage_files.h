#pragma once

#include <filesystem>
#include <string>

namespace hidreamer::pipeline {

// Removes a directory that holds folders of stages which were set aside. Where somebody put a file
// into it that no stage writes, all of it stays, with a message.
void RemoveStageFiles(const std::filesystem::path& directory);

// `name`, or the first of name2, name3, … that is free in `directory`.
std::string FreeName(const std::filesystem::path& directory, const std::string& name);

}  // namespace hidreamer::pipeline
