#include "hidreamer/world_model/world_model.h"

#include "hidreamer/base/error.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/formats/tensor_map.h"

namespace hidreamer::world_model {
namespace {

constexpr char kKind[] = "world_model";

void CheckSequence(const TokenLayout& layout, const torch::Tensor& tokens,
                   const torch::Tensor& actions) {
  HID_CHECK(tokens.dim() == 3 && tokens.size(2) == layout.code_slots(),
            "tokens must be (B, T, {}), not {} numbers in {} dimensions", layout.code_slots(),
            tokens.numel(), tokens.dim());
  HID_CHECK(actions.dim() == 2 && actions.size(0) == tokens.size(0) &&
                (actions.size(1) == tokens.size(1) || actions.size(1) == tokens.size(1) - 1),
            "actions must be (B, T) or (B, T-1) with B = {}, T = {}", tokens.size(0),
            tokens.size(1));
}

}  // namespace

nlohmann::json ToJson(const WorldModelOptions& options) {
  return {{"levels", options.layout.levels},   {"codes", options.layout.codes},
          {"actions", options.layout.actions}, {"width", options.width},
          {"layers", options.layers},          {"heads", options.heads},
          {"ffn_width", options.ffn_width},    {"dropout", options.dropout},
          {"max_steps", options.max_steps},    {"mask", MaskName(options.mask)}};
}

WorldModelOptions WorldModelOptionsFromJson(const nlohmann::json& json) {
  WorldModelOptions options;
  try {
    options.layout.levels = json.at("levels").get<int64_t>();
    options.layout.codes = json.at("codes").get<int64_t>();
    options.layout.actions = json.at("actions").get<int64_t>();
    options.width = json.at("width").get<int64_t>();
    options.layers = json.at("layers").get<int64_t>();
    options.heads = json.at("heads").get<int64_t>();
    options.ffn_width = json.at("ffn_width").get<int64_t>();
    options.dropout = json.at("dropout").get<double>();
    options.max_steps = json.at("max_steps").get<int64_t>();
    options.mask = MaskFromName(json.at("mask").get<std::string>());
  } catch (const nlohmann::json::exception& error) {
    throw UserError("", "not a world model's options: {}", error.what());
  }
  return options;
}

namespace {

// table (V, D), indices (…) -> (…, D). On a GPU the gradient of torch's embedding sorts the
// indices, in 9 kernels that take ten times as long as adding the rows up in any order.
torch::Tensor Rows(const torch::Tensor& table, const torch::Tensor& indices) {
  if (!table.is_cuda()) {
    return torch::embedding(table, indices);
  }
  auto shape = indices.sizes().vec();
  shape.push_back(table.size(1));
  return table.index_select(0, indices.reshape({-1})).view(shape);
}

// x (B, T*K, D) -> (B, T*(K-1), D), the positions of all slots but one.
struct WithoutSlotFunction : torch::autograd::Function<WithoutSlotFunction> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               int64_t per_step, int64_t slot) {
    context->saved_data["per_step"] = per_step;
    context->saved_data["slot"] = slot;
    const int64_t batch = x.size(0), steps = x.size(1) / per_step, width = x.size(2);
    const torch::Tensor kept = torch::empty({batch, steps * (per_step - 1), width}, x.options());
    CopyOthers(x.reshape({-1, per_step, width}), kept.view({-1, per_step - 1, width}), slot, false);
    return kept;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const int64_t per_step = context->saved_data["per_step"].toInt();
    const int64_t slot = context->saved_data["slot"].toInt();
    const torch::Tensor& kept = gradients[0];
    const int64_t batch = kept.size(0), width = kept.size(2);
    const int64_t steps = kept.size(1) / (per_step - 1);
    const torch::Tensor x = torch::empty({batch, steps * per_step, width}, kept.options());
    const torch::Tensor by_slot = x.view({-1, per_step, width});
    CopyOthers(by_slot, kept.reshape({-1, per_step - 1, width}), slot, true);
    by_slot.select(1, slot).zero_();
    return {x, {}, {}};
  }

 private:
  // Between all (N, K, D) and kept (N, K - 1, D), in place.
  static void CopyOthers(const torch::Tensor& all, const torch::Tensor& kept, int64_t slot,
                         bool into_all) {
    const int64_t after = kept.size(1) - slot;
    for (const auto& [a, k] :
         {std::pair(all.narrow(1, 0, slot), kept.narrow(1, 0, slot)),
          std::pair(all.narrow(1, slot + 1, after), kept.narrow(1, slot, after))}) {
      into_all ? a.copy_(k) : k.copy_(a);
    }
  }
};

}  // namespace

TokenEmbeddingImpl::TokenEmbeddingImpl(const WorldModelOptions& options) : layout_(options.layout) {
  token_embeds_ = register_module("token_embeds", torch::nn::ModuleList());
  for (int64_t level = 0; level < layout_.levels; ++level) {
    token_embeds_->push_back(torch::nn::Embedding(layout_.codes_of(level), options.width));
  }
  const int64_t per_step = layout_.positions_per_step();
  action_embed_ =
      register_module("action_embed", torch::nn::Embedding(layout_.actions, options.width));
  level_embed_ = register_module("level_embed", torch::nn::Embedding(per_step, options.width));
  pos_embed_ = register_module("pos_embed",
                               torch::nn::Embedding(options.max_steps * per_step, options.width));
}

torch::Tensor TokenEmbeddingImpl::forward(const torch::Tensor& tokens,
                                          const torch::Tensor& actions) {
  CheckSequence(layout_, tokens, actions);
  const int64_t batch = tokens.size(0), steps = tokens.size(1);
  const int64_t per_step = layout_.positions_per_step();
  const bool open = actions.size(1) < steps;
  std::vector<torch::Tensor> slots;  // K x (B, T, D)
  for (int64_t slot = 0; slot < layout_.code_slots(); ++slot) {
    slots.push_back(Rows(table_of(slot)->weight, tokens.select(2, slot)));
  }
  // An open last step borrows action 0; its position is cut off below.
  slots.push_back(
      Rows(action_embed_->weight, open ? torch::constant_pad_nd(actions, {0, 1}, 0) : actions));
  torch::Tensor sequence = torch::stack(slots, 2) + level_embed_->weight;  // (B, T, K, D)
  sequence = sequence.view({batch, steps * per_step, -1});
  const int64_t positions = steps * per_step - (open ? 1 : 0);
  HID_CHECK(positions <= pos_embed_->weight.size(0), "{} positions, room for {}", positions,
            pos_embed_->weight.size(0));
  return sequence.narrow(1, 0, positions) + pos_embed_->weight.narrow(0, 0, positions);
}

torch::nn::EmbeddingImpl* TokenEmbeddingImpl::table_of(int64_t slot) {
  return token_embeds_[static_cast<size_t>(layout_.level_of(slot))]->as<torch::nn::Embedding>();
}

torch::Tensor TokenEmbeddingImpl::EmbedPosition(const torch::Tensor& values, int64_t slot,
                                                int64_t position) {
  const torch::Tensor row = slot == layout_.action_slot() ? action_embed_->forward(values)
                                                          : table_of(slot)->forward(values);
  return row + level_embed_->weight[slot] + pos_embed_->weight[position];  // (B, D)
}

WorldModelImpl::WorldModelImpl(const WorldModelOptions& options) : options_(options) {
  embedding_ = register_module("embedding", TokenEmbedding(options));
  blocks_ = register_module("blocks", torch::nn::ModuleList());
  for (int64_t layer = 0; layer < options.layers; ++layer) {
    blocks_->push_back(
        layers::TransformerBlock(options.width, options.heads, options.ffn_width, options.dropout));
  }
  ln_final_ = register_module("ln_final",
                              torch::nn::LayerNorm(torch::nn::LayerNormOptions({options.width})));
  for (int64_t level = 0; level < options.layout.levels; ++level) {
    heads_.push_back(
        register_module("headl" + std::to_string(level),
                        layers::PackedLinear(options.width, options.layout.codes_of(level))));
  }
}

layers::TransformerBlock WorldModelImpl::block(int64_t layer) const {
  return layers::TransformerBlock(std::dynamic_pointer_cast<layers::TransformerBlockImpl>(
      blocks_->ptr(static_cast<size_t>(layer))));
}

layers::TransformerParts WorldModelImpl::transformer() const {
  layers::TransformerParts parts{.blocks = {},
                                 .final_norm = ln_final_,
                                 .heads = options_.heads,
                                 .hidden_width = options_.ffn_width,
                                 .packed = packed_};
  for (int64_t layer = 0; layer < options_.layers; ++layer) {
    parts.blocks.push_back(block(layer));
  }
  return parts;
}

const layers::AttentionPattern& WorldModelImpl::Pattern(int64_t positions, torch::Device device) {
  const std::lock_guard lock(patterns_mutex_);
  if (!patterns_.empty() && patterns_.begin()->second.allowed.device() != device) {
    patterns_.clear();
  }
  layers::AttentionPattern& pattern = patterns_[positions];
  if (!pattern.allowed.defined()) {
    pattern = layers::MakeAttentionPattern(
        AttentionMask(options_.layout, options_.mask, positions, device));
  }
  return pattern;
}

bool WorldModelImpl::UsesPacked() {
  return !is_training() && layers::PackedTransformer::Applies(transformer());
}

torch::Tensor WorldModelImpl::RunBlocks(
    const torch::Tensor& tokens, const torch::Tensor& actions, std::vector<torch::Tensor>* qkv,
    const std::function<torch::Tensor(const torch::Tensor&)>& choose) {
  torch::Tensor x = embedding_->forward(tokens, actions);  // (B, P, D)
  const layers::AttentionPattern& pattern = Pattern(x.size(1), x.device());
  for (int64_t layer = 0; layer < options_.layers; ++layer) {
    const bool last = layer + 1 == options_.layers;
    torch::Tensor projected;
    x = block(layer)->forward(x, pattern, qkv == nullptr ? nullptr : &projected,
                              last ? choose : nullptr);
    if (qkv != nullptr) {
      qkv->push_back(projected);
    }
  }
  return x;
}

torch::Tensor WorldModelImpl::Hidden(const torch::Tensor& tokens, const torch::Tensor& actions,
                                     std::vector<torch::Tensor>* qkv, int64_t from) {
  if (UsesPacked()) {
    const torch::Tensor x = embedding_->forward(tokens, actions);
    return layers::PackedTransformer::Of(transformer())
        ->Transform(x, Pattern(x.size(1), x.device()).additive, qkv, from);
  }
  const torch::Tensor x = RunBlocks(tokens, actions, qkv, {});
  return ln_final_->forward(x.narrow(1, from, x.size(1) - from));
}

torch::Tensor WorldModelImpl::Logits(int64_t level, const torch::Tensor& hidden) {
  return heads_.at(static_cast<size_t>(level))->forward(hidden);
}

WorldModelOutput WorldModelImpl::forward(const torch::Tensor& tokens,
                                         const torch::Tensor& actions) {
  HID_CHECK(actions.size(1) == tokens.size(1), "{} actions for {} steps", actions.size(1),
            tokens.size(1));
  WorldModelOutput output;
  output.hidden = Hidden(tokens, actions);  // (B, T*K, D)
  const torch::Tensor by_slot = output.hidden.view(
      {tokens.size(0), tokens.size(1), options_.layout.positions_per_step(), options_.width});
  for (int64_t slot = 0; slot < options_.layout.code_slots(); ++slot) {
    output.logits.push_back(
        Logits(options_.layout.level_of(slot), by_slot.select(2, PredictingSlot(slot))));
  }
  return output;
}

std::vector<torch::Tensor> WorldModelImpl::Predict(const torch::Tensor& tokens,
                                                   const torch::Tensor& actions) {
  if (UsesPacked()) {
    return forward(tokens, actions).logits;
  }
  const int64_t slots = options_.layout.code_slots();
  const torch::Tensor x = RunBlocks(tokens, actions, nullptr, [&](const torch::Tensor& all) {
    return WithoutSlotFunction::apply(all, slots + 1, slots - 1);
  });
  const torch::Tensor by_slot =
      ln_final_->forward(x).view({tokens.size(0), tokens.size(1), slots, options_.width});
  std::vector<torch::Tensor> logits;
  for (int64_t slot = 0; slot < slots; ++slot) {
    logits.push_back(Logits(options_.layout.level_of(slot),
                            by_slot.select(2, slot == 0 ? slots - 1 : slot - 1)));
  }
  return logits;
}

std::map<std::string, std::string> WorldModelMetadata(const WorldModelOptions& options) {
  return {{"kind", kKind}, {"options", ToJson(options).dump()}};
}

void SaveWorldModel(const std::filesystem::path& path, const WorldModel& model) {
  formats::SaveSafetensors(path, formats::NamedState(*model), WorldModelMetadata(model->options()));
}

WorldModel LoadWorldModel(const std::filesystem::path& path) {
  const formats::SafetensorsFile file = formats::LoadSafetensors(path);
  const auto options = file.metadata.find("options");
  if (options == file.metadata.end()) {
    throw UserError("train a world model first: hidreamer train world-model",
                    "{} is not a world model: it has no options", path.string());
  }
  const nlohmann::json json = nlohmann::json::parse(options->second, nullptr, false);
  if (json.is_discarded()) {
    throw UserError("", "{}: the options are not JSON", path.string());
  }
  WorldModel model(WorldModelOptionsFromJson(json));
  formats::LoadNamedState(*model, file.tensors);
  model->eval();
  return model;
}

}  // namespace hidreamer::world_model
