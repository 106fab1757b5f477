#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "commands.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/data/npz_import.h"
#include "hidreamer/encoder/encoder.h"
#include "hidreamer/nn/pytorch_file.h"
#include "hidreamer/nn/safetensors.h"
#include "hidreamer/tokenizer/residual_quantizer.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::app {
namespace {

constexpr int64_t kReferenceHeadWidth = 64;  // the reference has one head for each 64 of the width

struct ImportArguments {
  std::filesystem::path file;
  std::filesystem::path out;
  int64_t heads = 0;
  std::string mask = "reference";
  data::NpzImportOptions npz;
};

// Rows or columns of a weight matrix; a user Error if it is missing or no matrix.
int64_t Size(const nn::TensorMap& weights, const std::string& name, int64_t dimension) {
  const auto found = weights.find(name);
  if (found == weights.end() || found->second.dim() != 2) {
    throw UserError("", "the file lacks the matrix {}", name);
  }
  return found->second.size(dimension);
}

int64_t CountNumbered(const nn::TensorMap& weights, const std::string& before,
                      const std::string& after) {
  int64_t count = 0;
  while (weights.contains(fmt::format("{}{}{}", before, count, after))) {
    ++count;
  }
  return count;
}

std::string ImportEncoder(const nn::TensorMap& weights, const std::filesystem::path& model) {
  const encoder::Encoder encoder = encoder::EncoderFromState(weights);
  encoder::SaveEncoder(encoder, model);
  return fmt::format("encoder, {} parameters", nn::CountParameters(*encoder));
}

std::string ImportQuantizer(const nn::TensorMap& weights, const std::filesystem::path& model) {
  tokenizer::ResidualQuantizer quantizer(tokenizer::ResidualQuantizerOptions{
      .dim = Size(weights, "vq_layers.0.codebook.weight", 1),
      .levels = CountNumbered(weights, "vq_layers.", ".codebook.weight"),
      .codes = Size(weights, "vq_layers.0.codebook.weight", 0)});
  nn::LoadNamedState(*quantizer, weights);
  tokenizer::SaveResidualQuantizer(quantizer, model);
  return fmt::format("quantizer of {} levels with {} codes", quantizer->options().levels,
                     quantizer->options().codes);
}

std::string ImportWorldModel(const nn::TensorMap& weights, const ImportArguments& arguments,
                             const std::filesystem::path& model) {
  world_model::WorldModelOptions options;
  options.layout.levels = CountNumbered(weights, "embedding.token_embeds.", ".weight");
  options.layout.codes = Size(weights, "embedding.token_embeds.0.weight", 0);
  options.layout.actions = Size(weights, "embedding.action_embed.weight", 0);
  options.width = Size(weights, "embedding.token_embeds.0.weight", 1);
  options.layers = CountNumbered(weights, "blocks.", ".ln1.weight");
  options.ffn_width = Size(weights, "blocks.0.ffn.0.weight", 0);
  options.max_steps =
      Size(weights, "embedding.pos_embed.weight", 0) / options.layout.positions_per_step();
  options.heads = arguments.heads > 0 ? arguments.heads : options.width / kReferenceHeadWidth;
  options.mask = world_model::MaskFromName(arguments.mask);
  if (options.heads < 1 || options.width % options.heads != 0) {
    throw UserError("give --heads", "{} heads do not divide the width {}", options.heads,
                    options.width);
  }
  world_model::WorldModel module(options);
  nn::LoadNamedState(*module, weights);
  world_model::SaveWorldModel(model, module);
  return fmt::format("world model, {} layers of width {}, {} heads, {} parameters", options.layers,
                     options.width, options.heads, nn::CountParameters(*module));
}

// The names of a single quantizer ("vq.codebook.weight", …) as level 0 of a residual one.
nn::TensorMap AsLevelZero(const nn::TensorMap& weights) {
  const std::string suffix = "codebook.weight";
  for (const auto& [name, tensor] : weights) {
    if (name.ends_with(suffix) && !name.starts_with("vq_layers.")) {
      nn::TensorMap renamed;
      const std::string prefix = name.substr(0, name.size() - suffix.size());
      nn::InsertWithPrefix(renamed, nn::WithoutPrefix(weights, prefix), "vq_layers.0.");
      return renamed;
    }
  }
  return weights;
}

void ImportWeights(const ImportArguments& arguments) {
  const bool pytorch = arguments.file.extension() != ".safetensors";
  const nn::TensorMap all =
      pytorch ? nn::LoadPytorchFile(arguments.file) : nn::LoadSafetensors(arguments.file).tensors;
  const nn::TensorMap weights = AsLevelZero(nn::ModelWeights(all));
  const auto model = arguments.out / "model.safetensors";
  std::string what;
  if (weights.contains("encoder.0.weight") && weights.contains("projection.0.weight")) {
    what = ImportEncoder(weights, model);
  } else if (weights.contains("vq_layers.0.codebook.weight")) {
    what = ImportQuantizer(weights, model);
  } else if (weights.contains("embedding.token_embeds.0.weight")) {
    what = ImportWorldModel(weights, arguments, model);
  } else {
    throw UserError(
        "an encoder has encoder.0.weight, a quantizer codebook.weight, a world model "
        "embedding.token_embeds.0.weight",
        "{} holds {} tensors, but none of the models known here", arguments.file.string(),
        all.size());
  }
  WriteFileAtomically(
      arguments.out / "import.json",
      nlohmann::json({{"file", arguments.file.filename().string()}, {"what", what}}).dump(2) +
          "\n");
  fmt::print("{}: {}\n", model.string(), what);
}

void Import(const ImportArguments& arguments) {
  if (arguments.file.extension() != ".npz") {
    return ImportWeights(arguments);
  }
  const data::NpzImportSummary summary =
      data::ImportNpz(arguments.file, arguments.out, arguments.npz);
  fmt::print("{}: {} steps in {} episodes", arguments.out.string(), summary.steps,
             summary.episodes);
  if (summary.inconsistent_stacks > 0) {
    fmt::print(", {} stacks do not continue the one before", summary.inconsistent_stacks);
  }
  fmt::print("\n");
}

}  // namespace

void AddImportCommand(CLI::App& app) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* command = app.add_subcommand(
      "import", "take over recordings (.npz) or weights (.pt, .pth, .safetensors) from elsewhere");
  command
      ->add_option("file", arguments->file,
                   "NumPy archive of states, actions, rewards, dones; or a PyTorch state dict or "
                   "training checkpoint of an encoder, a (residual) quantizer or a world model. "
                   "Nothing in the file is executed")
      ->required();
  command
      ->add_option("--out", arguments->out,
                   "directory written: a recording, or a stage's folder with model.safetensors")
      ->required();
  command->add_option("--game", arguments->npz.game, ".npz: name of the game")
      ->capture_default_str();
  command->add_option("--protocol", arguments->npz.protocol, ".npz: protocol it was recorded under")
      ->capture_default_str();
  command
      ->add_option("--heads", arguments->heads,
                   "world model: attention heads, which weights do not tell; 0: width / 64")
      ->capture_default_str();
  command->add_option("--mask", arguments->mask, "world model: reference, strict or causal")
      ->capture_default_str();
  command->footer("Example: hidreamer import spatial_encoder_best.pt --out runs/seed/encoder");
  command->callback([arguments] { Import(*arguments); });
}

}  // namespace hidreamer::app
