#pragma once

#include <filesystem>
#include <string>

namespace hidreamer::pipeline {

// The main figures of a summary.json as lines: figure | ours | baseline | what the text reports.
// The report has the others.
std::string FormatFigureTable(const std::filesystem::path& summary);

}  // namespace hidreamer::pipeline
