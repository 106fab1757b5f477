#pragma once

#include <CLI/CLI.hpp>

// One file a subcommand. Each adds its CLI11 subcommand with help, units, defaults and an example
// in the footer, and does its work in the subcommand's callback. Errors are thrown (base/error.h);
// main turns them into exit codes.
namespace hidreamer::app {

void AddCollectCommand(CLI::App& app);

}  // namespace hidreamer::app
