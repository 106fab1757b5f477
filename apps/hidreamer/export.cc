#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/temporary_directory.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/pipeline/dream_page.h"
#include "hidreamer/pipeline/trained_agent.h"
#include "options.h"

namespace hidreamer::app {
namespace {

constexpr const char* kModelFile = "model.safetensors";

struct ExportArguments {
  std::vector<std::filesystem::path> sources;
  std::filesystem::path out, html, model;  // one of them
  std::filesystem::path scores;            // beside model
};

// Folders below `run` that hold a trained model, relative to it: "encoder", "policy/pong", …
std::vector<std::filesystem::path> StagesOf(const std::filesystem::path& run) {
  std::vector<std::filesystem::path> stages;
  auto entry = std::filesystem::recursive_directory_iterator(run);
  for (; entry != std::filesystem::recursive_directory_iterator(); ++entry) {
    const std::filesystem::path& path = entry->path();
    const std::string name = path.filename().string();
    if (name == kModelFile) {
      stages.push_back(std::filesystem::relative(path.parent_path(), run));
    } else if (name == "checkpoints" || (entry.depth() == 0 && name.starts_with("before"))) {
      entry.disable_recursion_pending();  // the latter: what --force set aside
    }
  }
  std::sort(stages.begin(), stages.end());
  return stages;
}

void ExportWeights(const ExportArguments& arguments) {
  const std::filesystem::path& source = arguments.sources.front();
  if (arguments.out.extension() != ".safetensors" && !IsSpecialFile(arguments.out)) {
    throw UserError("name the file X.safetensors", "cannot export to {}", arguments.out.string());
  }
  CheckOutputFile(arguments.out, FileKind::kSafetensors);
  if (!std::filesystem::is_directory(source)) {
    throw UserError("", "no directory {}", source.string());
  }
  formats::SafetensorsFile result;
  if (std::filesystem::exists(source / kModelFile)) {
    result = formats::LoadSafetensors(source / kModelFile);
  } else {
    const std::vector<std::filesystem::path> stages = StagesOf(source);
    if (stages.empty()) {
      throw UserError("give a run directory or one of its stages", "{} holds no trained model",
                      source.string());
    }
    for (const std::filesystem::path& stage : stages) {
      const formats::SafetensorsFile file = formats::LoadSafetensors(source / stage / kModelFile);
      formats::InsertWithPrefix(result.tensors, file.tensors, stage.string() + ".");
      for (const auto& [key, value] : file.metadata) {
        result.metadata[stage.string() + "." + key] = value;
      }
    }
  }
  {
    const TemporaryDirectory directory(std::filesystem::temp_directory_path() /
                                       fmt::format("hidreamer_export_{}", ::getpid()));
    const std::filesystem::path file = directory.path() / kModelFile;
    result.metadata.insert(kWrittenBy);
    formats::SaveSafetensors(file, result.tensors, result.metadata);
    WriteOutputFile(arguments.out, FileKind::kSafetensors, ReadFile(file));
  }
  int64_t numbers = 0;
  for (const auto& [name, tensor] : result.tensors) {
    numbers += tensor.numel();
  }
  fmt::print(WordsBeside(arguments.out), "{}: {} tensors, {} numbers\n", arguments.out.string(),
             result.tensors.size(), numbers);
}

// A page of each run: FILE, or of several DIRECTORY/NAME.html.
void ExportDreams(const ExportArguments& arguments) {
  std::map<std::filesystem::path, std::string> pages;
  const bool several = arguments.sources.size() > 1;
  if (!several) {
    CheckOutputFile(arguments.html, FileKind::kHtml);
  }
  for (const std::filesystem::path& run : arguments.sources) {
    const std::string name = std::filesystem::weakly_canonical(run).filename().string() + ".html";
    const auto file = several ? arguments.html / name : arguments.html;
    if (!pages.emplace(file, pipeline::DreamPageOf(run)).second) {
      throw UserError("export them one by one", "two of the runs would be {}", name);
    }
  }
  if (several) {
    EnsureWritableDirectory(arguments.html);
  }
  for (const auto& [file, page] : pages) {
    CheckOutputFile(file, FileKind::kHtml);
  }
  for (const auto& [file, page] : pages) {
    WriteOutputFile(file, FileKind::kHtml, page);
    fmt::print(WordsBeside(file), "{}: {:.1f} MB, opens in any browser, here or elsewhere\n",
               file.string(), static_cast<double>(page.size()) / 1e6);
  }
}

void Export(const ExportArguments& arguments) {
  if (arguments.sources.size() > 1 && arguments.html.empty()) {
    throw UserError("one after the other", "several runs are exported with --html alone");
  }
  if (!arguments.model.empty()) {
    pipeline::PackAgent(arguments.sources.front(), arguments.model, arguments.scores);
    fmt::print("{}\n", arguments.model.string());
  } else if (!arguments.html.empty()) {
    ExportDreams(arguments);
  } else {
    ExportWeights(arguments);
  }
}

}  // namespace

void AddExportCommand(CLI::App& app) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command = app.add_subcommand(
      "export", "write a trained model as one file: for Python, or as a page to play in its dream");
  AddRuns(*command, arguments->sources,
          "a stage of a run (RUN/world_model), or a whole run: then names start with their stage "
          "(encoder., policy/pong., …); several with --html")
      ->required();
  auto* what = command->add_option_group("what to write");
  AddOutputFile(*what, "--out", arguments->out,
                "X.safetensors, the weights; tools/export turns it into .pt");
  AddOutputFile(*what, "--html", arguments->html,
                "X.html, a page that dreams by itself: anybody opens it and plays in the dream of "
                "an agent. RUN is that of hidreamer agent, or the name of a published one. Of "
                "several runs: a directory for a page each");
  CLI::Option* model = what->add_option(
      "--model", arguments->model,
      "directory for an online agent's weights in half precision, and model.json: where they come "
      "from and what they score");
  what->require_option(1);
  CLI::Option* scores = command->add_option(
      "--scores", arguments->scores, "what hidreamer eval RUN --json has written, for --model");
  scores->needs(model);
  model->needs(scores);
  command->footer(
      "Example: hidreamer export runs/seed/world_model --out world_model.safetensors\n"
      "Example: hidreamer export runs/agent_pong --html dream.html\n"
      "Example: hidreamer export pong breakout ms_pacman --html pages\n"
      "Example: hidreamer export runs/agent_pong --model models/pong --scores pong.json");
  command->callback([arguments] { Export(*arguments); });
}

}  // namespace hidreamer::app
