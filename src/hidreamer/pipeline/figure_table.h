#pragma once

#include <filesystem>
#include <string>

namespace hidreamer::pipeline {

// The figures of a summary.json as lines: figure | ours | baseline | what the text reports.
std::string FormatFigureTable(const std::filesystem::path& summary);

}  // namespace hidreamer::pipeline
