#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hidreamer/evaluation/figure.h"

namespace hidreamer::pipeline {

// The main figures of a summary.json as lines: figure | ours | baseline | what the text reports.
// The report has the others.
std::string FormatFigureTable(const std::filesystem::path& summary);
// All of these, with what is asked of them.
std::string FormatFigures(const std::vector<evaluation::Figure>& figures);

}  // namespace hidreamer::pipeline
