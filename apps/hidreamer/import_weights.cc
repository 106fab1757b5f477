#include "import_weights.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/encoder/encoder.h"
#include "hidreamer/formats/pytorch_file.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/pipeline/imported_stage.h"
#include "hidreamer/tokenizer/residual_quantizer.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::app {
namespace {

namespace fs = std::filesystem;
using pipeline::ImportedStage;

constexpr int64_t kReferenceHeadWidth = 64;  // the reference has one head for each 64 of the width
constexpr const char* kEncoder = "encoder";
constexpr const char* kTokenizer = "tokenizer";
constexpr const char* kWorldModel = "world_model";

// A model that the file holds: names[prefix + …].
struct Found {
  std::string stage;
  std::string prefix;
  bool single_level = false;  // a quantizer whose names lack "vq_layers.0."
};

// Rows or columns of a weight matrix; a user Error if it is missing or no matrix.
int64_t Size(const formats::TensorMap& weights, const std::string& name, int64_t dimension) {
  const auto found = weights.find(name);
  if (found == weights.end() || found->second.dim() != 2) {
    throw UserError("", "the file lacks the matrix {}", name);
  }
  return found->second.size(dimension);
}

int64_t CountNumbered(const formats::TensorMap& weights, const std::string& before,
                      const std::string& after) {
  int64_t count = 0;
  while (weights.contains(fmt::format("{}{}{}", before, count, after))) {
    ++count;
  }
  return count;
}

// Those of `weights` that lie in parts the model has; a file may hold other things beside it.
formats::TensorMap PartsOf(const torch::nn::Module& model, const formats::TensorMap& weights) {
  const auto part_of = [](const std::string& name) { return name.substr(0, name.find('.')); };
  std::map<std::string, bool> parts;
  for (const auto& [name, tensor] : formats::NamedState(model)) {
    parts[part_of(name)] = true;
  }
  formats::TensorMap own;
  for (const auto& [name, tensor] : weights) {
    if (!parts.contains(part_of(name))) {
      continue;
    }
    if (tensor.is_floating_point() && !torch::isfinite(tensor).all().item<bool>()) {
      throw UserError("the training it comes from has failed: take an earlier checkpoint",
                      "{} holds numbers that are not finite", name);
    }
    own.emplace(name, tensor);
  }
  return own;
}

template <class Model>
void Load(Model& model, const formats::TensorMap& weights) {
  formats::LoadNamedState(*model, PartsOf(*model, weights));
}

ImportedStage ImportEncoder(const formats::TensorMap& weights, const fs::path& file) {
  const auto last = weights.find("projection.2.weight");
  if (last == weights.end() || last->second.dim() != 2) {
    throw UserError("", "the file lacks the matrix projection.2.weight");
  }
  encoder::Encoder encoder(encoder::EncoderOptions{.width = last->second.size(0)});
  Load(encoder, weights);
  encoder::SaveEncoder(encoder, file);
  return {.stage = kEncoder,
          .what = fmt::format("encoder, {} parameters", formats::CountParameters(*encoder)),
          .embedding_width = encoder->options().width};
}

ImportedStage ImportQuantizer(const formats::TensorMap& weights, const fs::path& file) {
  tokenizer::ResidualQuantizer quantizer(tokenizer::ResidualQuantizerOptions{
      .dim = Size(weights, "vq_layers.0.codebook.weight", 1),
      .levels = CountNumbered(weights, "vq_layers.", ".codebook.weight"),
      .codes = Size(weights, "vq_layers.0.codebook.weight", 0)});
  Load(quantizer, weights);
  tokenizer::SaveResidualQuantizer(quantizer, file);
  const auto& options = quantizer->options();
  return {
      .stage = kTokenizer,
      .what = fmt::format("quantizer of {} levels with {} codes", options.levels, options.codes),
      .settings = {{"tokenizer.levels", std::to_string(options.levels)},
                   {"tokenizer.codes", std::to_string(options.codes)}},
      .embedding_width = options.dim};
}

ImportedStage ImportWorldModel(const formats::TensorMap& weights, const WeightsImport& arguments,
                               const fs::path& file) {
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
  Load(module, weights);
  world_model::SaveWorldModel(file, module);
  return {.stage = kWorldModel,
          .what = fmt::format("world model, {} layers of width {}, {} heads, {} parameters",
                              options.layers, options.width, options.heads,
                              formats::CountParameters(*module)),
          .settings = {{"tokenizer.levels", std::to_string(options.layout.levels)},
                       {"tokenizer.codes", std::to_string(options.layout.codes)},
                       {"world_model.width", std::to_string(options.width)},
                       {"world_model.layers", std::to_string(options.layers)},
                       {"world_model.heads", std::to_string(options.heads)},
                       {"world_model.ffn_width", std::to_string(options.ffn_width)},
                       {"world_model.max_steps", std::to_string(options.max_steps)},
                       {"world_model.mask", arguments.mask}},
          .actions = options.layout.actions};
}

std::vector<Found> FindModels(const formats::TensorMap& file) {
  std::vector<Found> models;
  const auto add = [&](const char* stage, const std::vector<std::string>& names) {
    for (const std::string& prefix : formats::PrefixesOf(file, names)) {
      models.push_back({.stage = stage, .prefix = prefix});
    }
  };
  add(kEncoder, {"encoder.0.weight", "projection.0.weight"});
  add(kTokenizer, {"vq_layers.0.codebook.weight"});
  add(kWorldModel, {"embedding.token_embeds.0.weight"});
  for (const std::string& prefix : formats::PrefixesOf(file, {"codebook.weight"})) {
    if (prefix.find("vq_layers.") == std::string::npos) {
      models.push_back({.stage = kTokenizer, .prefix = prefix, .single_level = true});
    }
  }
  return models;
}

// The stage that a folder of this name belongs to; "" for any other name.
std::string StageOfFolder(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (name == kEncoder || name == kTokenizer || name == kWorldModel) {
    return name;
  }
  return name == "single_vq" ? kTokenizer : "";
}

std::vector<std::string> NamesOf(const std::vector<Found>& models) {
  std::vector<std::string> names;
  for (const Found& model : models) {
    names.push_back(fmt::format("{} at '{}'", model.stage, model.prefix));
  }
  return names;
}

// The one to import. PrefixesOf puts a model's own weights before averages of them and the like.
Found ChooseModel(std::vector<Found> models, const WeightsImport& arguments, const fs::path& out) {
  if (!arguments.prefix.empty()) {
    const std::string wanted = arguments.prefix + (arguments.prefix.ends_with('.') ? "" : ".");
    const auto others = NamesOf(models);
    std::erase_if(models, [&](const Found& model) { return model.prefix != wanted; });
    if (models.empty()) {
      throw UserError("", "no model is known at --prefix {}; there are: {}", arguments.prefix,
                      fmt::join(others, ", "));
    }
  }
  const std::string stage = StageOfFolder(out);
  const auto fits = [&](const Found& model) { return stage.empty() || model.stage == stage; };
  if (std::none_of(models.begin(), models.end(), fits)) {
    throw UserError(fmt::format("--out RUN/{} is its place", models.front().stage),
                    "{} is the folder of a {}, but {} holds: {}", out.string(), stage,
                    arguments.file.string(), fmt::join(NamesOf(models), ", "));
  }
  std::erase_if(models, [&](const Found& model) { return !fits(model); });
  const bool several_kinds = std::any_of(models.begin(), models.end(), [&](const Found& model) {
    return model.stage != models.front().stage;
  });
  if (several_kinds) {
    throw UserError("give --out RUN/encoder, RUN/tokenizer or RUN/world_model, or --prefix",
                    "{} holds several models: {}", arguments.file.string(),
                    fmt::join(NamesOf(models), ", "));
  }
  if (models.size() > 1) {
    spdlog::info("taken: {}; there are also {} (--prefix chooses)", NamesOf({models[0]})[0],
                 fmt::join(NamesOf({models.begin() + 1, models.end()}), ", "));
  }
  return models.front();
}

formats::PytorchFile LoadFile(const fs::path& file) {
  std::string suffix = file.extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (suffix != ".safetensors") {
    return formats::LoadPytorchFile(file);
  }
  formats::SafetensorsFile loaded = formats::LoadSafetensors(file);
  return {.tensors = std::move(loaded.tensors), .unread = std::move(loaded.unread)};
}

}  // namespace

void ImportWeights(const WeightsImport& arguments) {
  const fs::path& out = arguments.out;
  const formats::PytorchFile loaded = LoadFile(arguments.file);
  const formats::TensorMap file = formats::WithoutWrappers(loaded.tensors);
  std::string unread;  // for the message where something is missing
  for (const auto& [name, what] : loaded.unread) {
    unread += fmt::format("; not read: {} ({})", name, what);
  }
  std::vector<Found> models = FindModels(file);
  if (models.empty()) {
    throw UserError(
        "an encoder has encoder.0.weight and projection.0.weight, a quantizer codebook.weight, a "
        "world model embedding.token_embeds.0.weight",
        "{} holds {} tensors, but none of the models known here{}", arguments.file.string(),
        file.size(), unread);
  }
  const Found model = ChooseModel(std::move(models), arguments, out);
  formats::TensorMap weights = formats::WithoutPrefix(file, model.prefix);
  if (model.single_level) {  // as level 0 of a residual quantizer
    formats::TensorMap renamed;
    formats::InsertWithPrefix(renamed, weights, "vq_layers.0.");
    weights = std::move(renamed);
  }
  const fs::path written = out / "model.safetensors";
  ImportedStage stage;
  try {
    stage = model.stage == kEncoder     ? ImportEncoder(weights, written)
            : model.stage == kTokenizer ? ImportQuantizer(weights, written)
                                        : ImportWorldModel(weights, arguments, written);
  } catch (const Error& error) {
    if (error.kind() != Error::Kind::kUser || unread.empty()) {
      throw;
    }
    throw UserError(error.hint(), "{}{}", error.what(), unread);
  }
  stage.file = arguments.file.filename().string();
  pipeline::WriteImportedStage(out, stage);
  fmt::print("{}: {}\n", written.string(), stage.what);
}

}  // namespace hidreamer::app
