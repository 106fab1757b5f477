#include "hidreamer/world_model/world_model.h"

#include "hidreamer/formats/tensor_map.h"
#include "hidreamer/parity/parity.h"
#include "hidreamer/parity/recorded_world_model.h"
#include "hidreamer/training/optimizer.h"
#include "hidreamer/world_model/decoder.h"
#include "hidreamer/world_model/loss.h"

namespace hidreamer::parity {

using world_model::ComputeLoss;
using world_model::Decoder;
using world_model::HierarchicalLoss;
using world_model::WorldModel;
using world_model::WorldModelOptions;
using world_model::WorldModelOutput;

WorldModel LoadRecordedWorldModel(const ParityComponent& component) {
  const nlohmann::json& config = component.config();
  const int64_t per_step = config.at("positions_per_step");
  WorldModel model(
      WorldModelOptions{.layout = {.levels = per_step - 1,
                                   .codes = config.at("codes"),
                                   .actions = config.at("actions")},
                        .width = config.at("d_model"),
                        .layers = config.at("layers"),
                        .heads = config.at("heads"),
                        .ffn_width = config.at("d_ff"),
                        .dropout = config.at("dropout"),
                        .max_steps = config.at("max_positions").get<int64_t>() / per_step,
                        .mask = world_model::MaskKind::kReference});
  formats::LoadNamedState(*model, component.weights());
  return model;
}

namespace {

// (1 + L): total and the levels' losses.
torch::Tensor LossRow(const HierarchicalLoss& loss) {
  std::vector<torch::Tensor> row = {loss.total.detach()};
  for (const torch::Tensor& level : loss.levels) {
    row.push_back(level.detach());
  }
  return torch::stack(row);
}

void CheckForward(const ParityComponent& component, std::vector<ParityRow>& rows) {
  const torch::NoGradGuard no_grad;
  WorldModel model = LoadRecordedWorldModel(component);
  model->eval();
  const torch::Tensor tokens = component.Input("tokens"), actions = component.Input("actions");
  const std::vector<double> weights = component.config().at("loss_weights");
  const WorldModelOutput output = model->forward(tokens, actions);
  rows.push_back(component.Compare(
      "mask", world_model::AttentionMask(model->options().layout, model->options().mask,
                                         output.hidden.size(1))));
  rows.push_back(component.Compare("hidden", output.hidden));
  for (size_t level = 0; level < output.logits.size(); ++level) {
    rows.push_back(component.Compare("logits_l" + std::to_string(level), output.logits[level]));
  }
  for (const auto& [input, suffix] :
       {std::pair<std::string, std::string>{"tokens", ""}, {"alt_targets", "_alt"}}) {
    const HierarchicalLoss loss = ComputeLoss(output.logits, component.Input(input), weights);
    const torch::Tensor correct = torch::stack(loss.correct);
    rows.push_back(component.Compare("loss" + suffix, LossRow(loss)));
    rows.push_back(component.Compare("correct" + suffix, correct));
    rows.push_back(component.Compare("accuracy" + suffix,
                                     correct.to(torch::kFloat64) / torch::stack(loss.targets)));
  }
}

void CheckWorldModelTraining(const ParityComponent& component, std::vector<ParityRow>& rows) {
  constexpr int kUpdates = 3;
  WorldModel model = LoadRecordedWorldModel(component);
  const torch::Tensor tokens = component.Input("tokens"), actions = component.Input("actions");
  const nlohmann::json& config = component.config();
  const nlohmann::json& adam = config.at("adamw");
  training::Adam optimizer(training::NamedParameters(*model),
                           training::AdamOptions{.beta1 = adam.at("betas").at(0),
                                                 .beta2 = adam.at("betas").at(1),
                                                 .epsilon = adam.at("eps"),
                                                 .weight_decay = adam.at("weight_decay"),
                                                 .decoupled = true});
  std::vector<torch::Tensor> losses, norms, first_norms;
  for (int update = 0; update < kUpdates; ++update) {
    optimizer.ZeroGrad();
    const HierarchicalLoss loss =
        ComputeLoss(model->forward(tokens, actions).logits, tokens, config.at("loss_weights"));
    loss.total.backward();
    if (update == 0) {
      const auto parameters = model->named_parameters();
      for (const std::string name : component.spec().at("parameter_order")) {
        first_norms.push_back(parameters[name].grad().norm());
      }
    }
    losses.push_back(LossRow(loss));
    norms.push_back(training::ClipGradNorm(optimizer.parameters(), adam.at("clip_norm")));
    optimizer.Step(adam.at("lr"));
  }
  rows.push_back(component.Compare("train_losses", torch::stack(losses)));
  rows.push_back(component.Compare("train_grad_norms", torch::stack(norms)));
  rows.push_back(component.Compare("train_grad_norm_per_tensor", torch::stack(first_norms)));
  const torch::NoGradGuard no_grad;
  const WorldModelOutput after = model->forward(tokens, actions);
  for (size_t level = 0; level < after.logits.size(); ++level) {
    rows.push_back(component.Compare("logits_l" + std::to_string(level) + "_after3",
                                     after.logits[level].select(1, tokens.size(1) - 1)));
  }
}

struct Rollout {
  torch::Tensor tokens;  // (B, H, L) greedy
  torch::Tensor logits;  // (B, H, L, V) they were taken of
  torch::Tensor hidden;  // (B, H, L, D) at their positions
};

// Every position by a pass over the whole sequence. context (B, T, L), actions (B, T+H-1).
Rollout RollOutInFull(WorldModel model, const torch::Tensor& context,
                      const torch::Tensor& actions) {
  const int64_t levels = model->options().layout.levels;
  const int64_t per_step = model->options().layout.positions_per_step();
  const int64_t first = context.size(1), last = actions.size(1);
  torch::Tensor sequence = context;  // (B, t, L)
  std::vector<torch::Tensor> logits, hidden;
  for (int64_t step = first; step <= last; ++step) {
    sequence = torch::constant_pad_nd(sequence, {0, 0, 0, 1}, 0);  // opens the step
    torch::Tensor states;
    for (int64_t level = 0; level <= levels; ++level) {
      // Positions from `level` of this step on hold 0 still; nothing before them sees it.
      states = model->Hidden(sequence, actions.narrow(1, 0, step));
      if (level == levels) {
        break;
      }
      logits.push_back(model->Logits(level, states.select(1, step * per_step + level - 1)));
      sequence.select(1, step).select(1, level).copy_(logits.back().argmax(-1));
    }
    hidden.push_back(states.narrow(1, step * per_step, levels));  // (B, L, D)
  }
  const int64_t horizon = last - first + 1;
  const torch::Tensor all_logits = torch::stack(logits, 1);  // (B, H*L, V)
  return {sequence.narrow(1, first, horizon),
          all_logits.view({sequence.size(0), horizon, levels, -1}), torch::stack(hidden, 1)};
}

// The same on a decoder's cache.
Rollout RollOutCached(WorldModel model, const torch::Tensor& context,
                      const torch::Tensor& actions) {
  const int64_t levels = model->options().layout.levels;
  const int64_t batch = context.size(0), first = context.size(1), last = actions.size(1);
  Decoder decoder(model, batch);
  const torch::Tensor prefilled = decoder.Prefill(context, actions.narrow(1, 0, first));
  torch::Tensor state = prefilled.select(1, prefilled.size(1) - 1);  // (B, D)
  std::vector<torch::Tensor> tokens, logits, hidden;
  for (int64_t step = first; step <= last; ++step) {
    for (int64_t level = 0; level < levels; ++level) {
      logits.push_back(model->Logits(level, state));
      tokens.push_back(logits.back().argmax(-1));
      state = decoder.PushCode(level, tokens.back());
      hidden.push_back(state);
    }
    if (step < last) {
      state = decoder.PushAction(actions.select(1, step));
    }
  }
  const int64_t horizon = last - first + 1;
  return {torch::stack(tokens, 1).view({batch, horizon, levels}),
          torch::stack(logits, 1).view({batch, horizon, levels, -1}),
          torch::stack(hidden, 1).view({batch, horizon, levels, -1})};
}

void CheckWorldModelRollout(const ParityComponent& component, std::vector<ParityRow>& rows) {
  const torch::NoGradGuard no_grad;
  WorldModel model = LoadRecordedWorldModel(component);
  model->eval();
  const torch::Tensor context = component.Input("rollout_context_tokens");
  const torch::Tensor actions = component.Input("rollout_actions");
  const Rollout full = RollOutInFull(model, context, actions);
  const Rollout cached = RollOutCached(model, context, actions);
  rows.push_back(component.Compare("rollout_tokens", full.tokens));
  rows.push_back(component.Compare("rollout_logits", cached.logits));
  rows.push_back(component.Compare("rollout_hidden", full.hidden));
  rows.push_back(component.Compare("rollout_hidden_cached", cached.hidden));
}

}  // namespace

std::vector<ParityRow> CheckWorldModel(const ParityComponent& component) {
  std::vector<ParityRow> rows;
  CheckForward(component, rows);
  CheckWorldModelTraining(component, rows);
  CheckWorldModelRollout(component, rows);
  return rows;
}

}  // namespace hidreamer::parity
