#include "options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <optional>

#include "hidreamer/base/error.h"
#include "hidreamer/base/numbers.h"
#include "hidreamer/pipeline/trained_agent.h"

namespace hidreamer::app {
namespace {

template <class Number>
bool Fits(const std::string& digits) {
  Number number{};
  return std::from_chars(digits.data(), digits.data() + digits.size(), number).ec == std::errc();
}

// CLI11 itself reads 010 as 8, and takes -5 for an unsigned number.
template <class Number>
CLI::Validator WholeNumber() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        const std::optional<std::string> digits = DigitsOfWhole(text);
        if (!digits) {
          return fmt::format("'{}' is not a whole number", text);
        }
        if (std::is_unsigned_v<Number> && digits->front() == '-') {
          return fmt::format("{} is below 0", text);
        }
        if (!Fits<Number>(*digits)) {
          return fmt::format("{} is too large", text);
        }
        text = *digits;
        return {};
      },
      "");
}

CLI::Validator DecimalNumber() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        return ParseNumber(text) ? "" : fmt::format("'{}' is not a number", text);
      },
      "");
}

}  // namespace

void ReadNumbersInDecimal(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    const std::string type = option->get_type_name();  // "INT", or "INT:INT in [0 - 1024]"
    if (type.starts_with("INT")) {
      option->transform(WholeNumber<int64_t>());
    } else if (type.starts_with("UINT")) {
      option->transform(WholeNumber<uint64_t>());
    } else if (type.starts_with("FLOAT")) {
      option->transform(DecimalNumber());
    }
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    ReadNumbersInDecimal(*command);
  }
}

namespace {

template <class Runs>
CLI::Option* AddRunsOrOne(CLI::App& command, Runs& runs, const std::string& help) {
  return command.add_option("RUN,--run", runs, help + ", or the name of an agent in models/")
      ->transform([](const std::string& text) { return pipeline::FindRun(text).string(); });
}

}  // namespace

CLI::Option* AddRun(CLI::App& command, std::filesystem::path& run, const std::string& help) {
  return AddRunsOrOne(command, run, help);
}

CLI::Option* AddRuns(CLI::App& command, std::vector<std::filesystem::path>& runs,
                     const std::string& help) {
  return AddRunsOrOne(command, runs, help);
}

void CheckIsRun(const std::filesystem::path& run) {
  constexpr const char* kHint =
      "give the directory of a run: hidreamer run CONFIG --out DIR, or hidreamer agent --out DIR, "
      "makes one";
  std::error_code code;
  if (!std::filesystem::is_directory(run, code)) {
    throw UserError(kHint, "there is no run directory {}", run.string());
  }
  for (const char* name : {"run.json", "config.yaml", "agent", "encoder", "policy", "data"}) {
    if (std::filesystem::exists(run / name, code)) {
      return;
    }
  }
  throw UserError(kHint, "{} is not a run directory", run.string());
}

void CheckIsPipelineRun(const std::filesystem::path& run) {
  CheckIsRun(run);
  if (std::filesystem::exists(run / "agent")) {
    throw UserError("go on with the command that began it",
                    "{} holds an agent that is not finished", run.string());
  }
  if (!std::filesystem::exists(run / "config.yaml")) {
    throw UserError("hidreamer run CONFIG --out DIR makes one", "{} holds no config.yaml",
                    run.string());
  }
}

CLI::Option* AddOutputFile(CLI::App& command, const std::string& name, std::filesystem::path& path,
                           const std::string& help) {
  return command.add_option(name, path, help + "; - for standard output")
      ->transform([](const std::string& text) -> std::string {
        return text == "-" ? "/dev/stdout" : text;
      });
}

std::FILE* WordsBeside(const std::filesystem::path& output) {
  return !output.empty() && IsStandardOutput(output) ? stderr : stdout;
}

std::string OnlyGame(const std::filesystem::path& run, const std::vector<std::string>& games,
                     const std::string& what, const std::string& how_to_get_one) {
  if (games.empty()) {
    throw UserError(how_to_get_one, "{} holds no {} yet", run.string(), what);
  }
  if (games.size() > 1) {
    throw UserError("say which with --game", "{} holds more than one {}: {}", run.string(), what,
                    fmt::join(games, ", "));
  }
  return games.front();
}

}  // namespace hidreamer::app
