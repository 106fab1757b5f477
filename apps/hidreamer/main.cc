#include <fmt/format.h>
#include <sys/resource.h>
#include <torch/torch.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <system_error>

#include "commands.h"
#include "hidreamer/base/cores.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/log.h"
#include "hidreamer/env/game_name.h"
#include "options.h"

namespace {

constexpr int kUserErrorCode = 2;
constexpr int kInternalErrorCode = 70;
constexpr int kInterruptedCode = 130;

int ReportError(const hidreamer::Error& error) {
  const bool user = error.kind() == hidreamer::Error::Kind::kUser;
  fmt::print(stderr, "{}: {}\n", user ? "error" : "internal error", error.what());
  if (!error.hint().empty()) {
    fmt::print(stderr, "hint: {}\n", error.hint());
  }
  return user ? kUserErrorCode : kInternalErrorCode;
}

// Every --game, of every command, understands Gym's names.
void UnderstandGameNames(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    if (CLI::Option* game = command->get_option_no_throw("--game"); game != nullptr) {
      game->transform(hidreamer::env::GameName);
    }
    UnderstandGameNames(*command);
  }
}

std::string command_line;

// Quoted where a shell would take it for more than one word.
std::string ShellWord(const std::string& word) {
  if (!word.empty() && word.find_first_of(" \t\n'\"\\$&|;<>()*?[]#~`!{}") == std::string::npos) {
    return word;
  }
  std::string quoted = "'";
  for (const char c : word) {
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return quoted + "'";
}

// 1024 games side by side are recorded into as many files.
void RaiseFileLimit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 65536);
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

}  // namespace

const std::string& hidreamer::app::CommandLine() { return command_line; }

int main(int argc, char** argv) {
  for (int i = 0; i < argc; ++i) {
    command_line += (i == 0 ? "" : " ") + ShellWord(argv[i]);
  }
  RaiseFileLimit();
  CLI::App app("hidreamer: learns to play Atari inside a hierarchical discrete world model");
  app.require_subcommand(1);
  app.set_version_flag("--version", HID_VERSION);
  app.footer(
      "Example: hidreamer run configs/quickstart.yaml\n"
      "Exit codes: 0 done, 2 the user's error, 70 an internal error, 130 interrupted.");
  bool verbose = false;
  app.add_flag("-v,--verbose", verbose, "more messages");
  app.parse_complete_callback([&] { hidreamer::InitializeLog(verbose); });
  hidreamer::InstallInterruptHandler();
  at::set_num_threads(hidreamer::DefaultThreads());
  hidreamer::app::AddRunCommand(app);
  hidreamer::app::AddAgentCommand(app);
  hidreamer::app::AddEvaluateCommand(app);
  hidreamer::app::AddCollectCommand(app);
  hidreamer::app::AddTrainCommand(app);
  hidreamer::app::AddTokenizeCommand(app);
  hidreamer::app::AddEvalCommand(app);
  hidreamer::app::AddProbeCommand(app);
  hidreamer::app::AddDreamCommand(app);
  hidreamer::app::AddPlayCommand(app);
  hidreamer::app::AddServeCommand(app);
  hidreamer::app::AddReportCommand(app);
  hidreamer::app::AddResultsCommand(app);
  hidreamer::app::AddImportCommand(app);
  hidreamer::app::AddExportCommand(app);
  hidreamer::app::AddBenchCommand(app);
  hidreamer::app::AddDoctorCommand(app);
  hidreamer::app::AddShellCommands(app);
  hidreamer::app::ReadNumbersInDecimal(app);
  UnderstandGameNames(app);
  try {
    app.parse(argc, argv);
    if (std::fflush(stdout) != 0) {
      throw hidreamer::UserError("is the disk full?", "cannot write to standard output");
    }
    return 0;
  } catch (const CLI::RuntimeError& error) {
    return error.get_exit_code();  // a command's own verdict, such as doctor --parity
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUserErrorCode;
  } catch (const hidreamer::Interrupted&) {
    std::fputs("Interrupted. Run the same command again to resume.\n", stderr);
    return kInterruptedCode;
  } catch (const hidreamer::Error& error) {
    return ReportError(error);
  } catch (const c10::Error& error) {
    fmt::print(stderr, "internal error: {}\n", error.what_without_backtrace());
    return kInternalErrorCode;
  } catch (const std::filesystem::filesystem_error& error) {  // no permission, a broken disk
    return ReportError(
        hidreamer::UserError("", "{}: {}", error.path1().string(), error.code().message()));
  } catch (const std::system_error& error) {
    if (error.code().value() == EPIPE) {
      return kInterruptedCode;  // nobody reads the output any more: | head
    }
    fmt::print(stderr, "internal error: {}\n", error.what());
    return kInternalErrorCode;
  } catch (const std::exception& error) {
    fmt::print(stderr, "internal error: {}\n", error.what());
    return kInternalErrorCode;
  }
}
