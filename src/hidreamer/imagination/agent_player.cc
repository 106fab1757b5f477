#include "hidreamer/imagination/agent_player.h"

#include <cstring>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/categorical.h"

namespace hidreamer::imagination {
namespace {

void CheckFits(const PolicyParts& parts) {
  const auto& trained = parts.policy->options();
  const auto& layout = parts.world_model->options().layout;
  const auto& tokens = parts.quantizer->options();
  const StateFeatures features(trained.feature, parts.world_model->options(),
                               Codebooks(parts.quantizer));
  if (trained.feature_width != features.state_width() ||
      trained.outcome_width != features.outcome_width() || trained.actions > layout.actions ||
      tokens.levels != layout.levels || tokens.codes != layout.codes ||
      trained.context + trained.horizon > parts.world_model->options().max_steps) {
    throw UserError("take encoder, tokenizer, world model and policy from one run",
                    "the policy of {} does not fit the world model or the tokenizer", trained.game);
  }
}

}  // namespace

PolicyParts LoadPolicyParts(const std::filesystem::path& run, const std::string& game) {
  constexpr char kModel[] = "model.safetensors";
  const auto policy_path = run / "policy" / game / kModel;
  if (!std::filesystem::exists(policy_path)) {
    throw UserError("train one: hidreamer train policy", "{} holds no policy for {}", run.string(),
                    game);
  }
  // A world model that was trained along with the policy lies beside it.
  const auto joint = run / "policy" / game / "world_model.safetensors";
  PolicyParts parts = {.encoder = encoder::LoadEncoder(run / "encoder" / kModel),
                       .quantizer = tokenizer::LoadResidualQuantizer(run / "tokenizer" / kModel),
                       .world_model = world_model::LoadWorldModel(
                           std::filesystem::exists(joint) ? joint : run / "world_model" / kModel),
                       .policy = policy::LoadPolicyModel(policy_path)};
  CheckFits(parts);
  parts.encoder->eval();
  parts.quantizer->eval();
  return parts;
}

AgentPlayer::AgentPlayer(const PolicyParts& parts, AgentPlayerOptions options, torch::Device device)
    : encoder_(parts.encoder),
      quantizer_(parts.quantizer),
      world_model_(parts.world_model),
      policy_(parts.policy),
      features_(policy_->options().feature, world_model_->options(),
                Codebooks(quantizer_).to(device)),
      options_(options),
      device_(device) {
  CheckFits(parts);
  encoder_->to(device_);
  quantizer_->to(device_);
  world_model_->to(device_);
  policy_->to(device_);
  encoder_->eval();
  quantizer_->eval();
  world_model_->eval();
  policy_->eval();
}

std::vector<int> AgentPlayer::Act(const std::vector<env::PlayerView>& views,
                                  std::vector<Rng>& rngs) {
  torch::NoGradGuard no_grad;
  if (views.empty()) {
    return {};
  }
  const auto codes = Codes(views);  // (n, L)
  torch::Tensor hidden;
  if (features_.needs_hidden()) {
    hidden = PushStates(views, codes);  // (n, L, D)
  }
  last_states_ = features_.State(hidden, codes);  // (n, F)
  const auto distribution = policy_->Policy(last_states_);
  std::vector<double> uniforms;
  for (const auto& view : views) {
    uniforms.push_back(rngs.at(static_cast<size_t>(view.slot)).Uniform());
  }
  const torch::Tensor chosen =
      policy::ChooseActions(distribution.probabilities().cpu(), options_.temperature,
                            torch::tensor(uniforms, torch::kFloat64))
          .contiguous();
  std::vector<int> actions;
  for (size_t i = 0; i < views.size(); ++i) {
    actions.push_back(static_cast<int>(chosen.data_ptr<int64_t>()[i]));
  }
  if (features_.needs_hidden()) {
    PushActions(views, actions);
  }
  ++calls_;
  return actions;
}

torch::Tensor AgentPlayer::Codes(const std::vector<env::PlayerView>& views) {
  const auto count = static_cast<int64_t>(views.size());
  auto stacks =
      torch::empty({count, env::kStackDepth, env::kFrameSize, env::kFrameSize}, torch::kUInt8);
  constexpr size_t kStackBytes = static_cast<size_t>(env::kStackDepth) * env::kFrameBytes;
  for (size_t i = 0; i < views.size(); ++i) {
    std::memcpy(stacks.data_ptr<uint8_t>() + i * kStackBytes, views[i].stack, kStackBytes);
  }
  return quantizer_->Encode(encoder_->forward(stacks.to(device_)));
}

torch::Tensor AgentPlayer::PushStates(const std::vector<env::PlayerView>& views,
                                      const torch::Tensor& codes) {
  const int64_t context = policy_->options().context;
  const int64_t capacity = context + policy_->options().horizon;
  const int64_t levels = codes.size(1);
  for (size_t i = 0; i < views.size(); ++i) {
    auto& slot = slots_[views[i].slot];
    if (views[i].first) {
      slot = Slot{};
    } else if (slot.last_call != calls_ - 1) {
      slot.decoder.reset();  // away for a while: its row in the shared cache has gone stale
      slot.row = -1;
    }
    slot.last_call = calls_;
    slot.tokens.push_back(codes[static_cast<int64_t>(i)]);
    if (static_cast<int64_t>(slot.tokens.size()) > context) {
      slot.tokens.erase(slot.tokens.begin());
      slot.actions.erase(slot.actions.begin());
    }
  }
  std::vector<torch::Tensor> hidden(views.size());  // each (L, D)
  if (calls_ % policy_->options().horizon == 0) {
    Refill(views, hidden);
  } else if (shared_) {
    const int64_t rows = shared_->batch();
    auto shared_codes = torch::zeros({rows, levels}, codes.options());
    for (size_t i = 0; i < views.size(); ++i) {
      if (const int64_t row = slots_[views[i].slot].row; row >= 0) {
        shared_codes[row].copy_(codes[static_cast<int64_t>(i)]);
      }
    }
    std::vector<torch::Tensor> pushed;
    for (int64_t level = 0; level < levels; ++level) {
      pushed.push_back(shared_->PushCode(level, shared_codes.select(1, level)).clone());
    }
    const auto all = torch::stack(pushed, 1);  // (rows, L, D)
    for (size_t i = 0; i < views.size(); ++i) {
      if (const int64_t row = slots_[views[i].slot].row; row >= 0) {
        hidden[i] = all[row];
      }
    }
  }
  for (size_t i = 0; i < views.size(); ++i) {
    auto& slot = slots_[views[i].slot];
    if (slot.row >= 0) {
      continue;
    }
    if (slot.decoder && slot.decoder->steps() < capacity) {
      std::vector<torch::Tensor> pushed;
      for (int64_t level = 0; level < levels; ++level) {
        pushed.push_back(
            slot.decoder->PushCode(level, slot.tokens.back()[level].view({1})).clone());
      }
      hidden[i] = torch::cat(pushed, 0);
      continue;
    }
    if (slot.decoder) {
      slot.decoder->Reset();
    } else {
      slot.decoder = std::make_unique<world_model::Decoder>(world_model_, 1, capacity);
    }
    const auto tokens = torch::stack(slot.tokens).unsqueeze(0);
    const auto actions =
        torch::tensor(slot.actions, torch::kLong).to(device_).view({1, tokens.size(1) - 1});
    hidden[i] = slot.decoder->Prefill(tokens, actions)[0].clone();  // (L, D)
  }
  return torch::stack(hidden);
}

void AgentPlayer::Refill(const std::vector<env::PlayerView>& views,
                         std::vector<torch::Tensor>& hidden) {
  const int64_t context = policy_->options().context;
  for (auto& [index, slot] : slots_) {
    if (slot.row >= 0) {
      slot.row = -1;  // every row is dealt anew; who is away is filled alone when it returns
    }
  }
  std::vector<size_t> ready;
  std::vector<torch::Tensor> tokens;
  std::vector<int64_t> actions;
  for (size_t i = 0; i < views.size(); ++i) {
    auto& slot = slots_[views[i].slot];
    if (static_cast<int64_t>(slot.tokens.size()) < context) {
      continue;
    }
    slot.row = static_cast<int64_t>(ready.size());
    slot.decoder.reset();
    ready.push_back(i);
    tokens.push_back(torch::stack(slot.tokens));  // (C, L)
    actions.insert(actions.end(), slot.actions.begin(), slot.actions.end());
  }
  if (ready.empty()) {
    shared_.reset();
    return;
  }
  const auto rows = static_cast<int64_t>(ready.size());
  if (shared_ && shared_->batch() == rows) {
    shared_->Reset();
  } else {
    shared_ = std::make_unique<world_model::Decoder>(world_model_, rows,
                                                     context + policy_->options().horizon);
  }
  const auto stacked = torch::stack(tokens);  // (rows, C, L)
  const auto filled = shared_->Prefill(
      stacked, torch::tensor(actions, torch::kLong).to(device_).view({rows, context - 1}));
  for (size_t k = 0; k < ready.size(); ++k) {
    hidden[ready[k]] = filled[static_cast<int64_t>(k)].clone();  // (L, D)
  }
}

void AgentPlayer::PushActions(const std::vector<env::PlayerView>& views,
                              const std::vector<int>& actions) {
  std::vector<int64_t> shared_actions(shared_ ? static_cast<size_t>(shared_->batch()) : 0, 0);
  for (size_t i = 0; i < views.size(); ++i) {
    auto& slot = slots_[views[i].slot];
    slot.actions.push_back(actions[i]);
    if (slot.row >= 0) {
      shared_actions[static_cast<size_t>(slot.row)] = actions[i];
    } else {
      slot.decoder->PushAction(torch::full({1}, actions[i], torch::kLong).to(device_));
    }
  }
  if (shared_) {
    shared_->PushAction(torch::tensor(shared_actions, torch::kLong).to(device_));
  }
}

std::unique_ptr<AgentPlayer> LoadAgentPlayer(const std::filesystem::path& run,
                                             const std::string& game,
                                             const AgentPlayerOptions& options,
                                             torch::Device device) {
  return std::make_unique<AgentPlayer>(LoadPolicyParts(run, game), options, device);
}

}  // namespace hidreamer::imagination
