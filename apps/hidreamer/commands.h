#pragma once

#include <CLI/CLI.hpp>
#include <string>

// One file a subcommand. Each adds its CLI11 subcommand with help, units, defaults and an example
// in the footer, and does its work in the subcommand's callback. Errors are thrown (base/error.h);
// main turns them into exit codes.
namespace hidreamer::app {

void AddRunCommand(CLI::App& app);
void AddAgentCommand(CLI::App& app);
void AddEvaluateCommand(CLI::App& app);
void AddCollectCommand(CLI::App& app);
void AddTrainCommand(CLI::App& app);
void AddTokenizeCommand(CLI::App& app);
void AddImportCommand(CLI::App& app);
void AddExportCommand(CLI::App& app);
void AddEvalCommand(CLI::App& app);
void AddProbeCommand(CLI::App& app);
void AddDreamCommand(CLI::App& app);
void AddPlayCommand(CLI::App& app);
void AddServeCommand(CLI::App& app);
void AddReportCommand(CLI::App& app);
void AddResultsCommand(CLI::App& app);
void AddBenchCommand(CLI::App& app);
void AddDoctorCommand(CLI::App& app);
void AddShellCommands(CLI::App& app);  // after all others: of these it tells

// The command line as it was given, for run.json.
const std::string& CommandLine();

}  // namespace hidreamer::app
