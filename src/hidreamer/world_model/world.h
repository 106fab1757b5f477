#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/world_model/steps.h"
#include "hidreamer/world_model/token_layout.h"

// The joint of the program: all that is above it (policy, players, dreams, evaluation) knows a
// world model as this, whatever it is made of.
//   real steps --> Observe: states                         (to act, to learn from real steps)
//              --> Predict: what should have come          (to learn the model, to measure it)
//              --> Begin:   a rollout, Imagine by Imagine  (to dream)
// B windows or games, T steps, P places with L levels of codes, D width of the transformer.
namespace hidreamer::world_model {

// What both kinds of world are built from. Fields of one kind alone say so.
struct WorldOptions {
  std::string kind = "step";   // "step": one transformer position a step; "token": one a code
  TokenLayout layout;          // places, levels, level_codes, actions
  int64_t value_channels = 3;  // C, of the quantized grid
  int64_t channels = 32;       // step: of the local path
  int64_t local_blocks = 2;    // step: residual blocks before the transformer, and after the action
  bool local_path = true;      // step: false: the transformer alone predicts every place
  int64_t local_frames = 4;    // step: newest grids that the local path reads
  bool depth_head = true;      // step: false: a place's levels independently of each other
  std::string mask = "reference";  // token: who attends to whom, see mask.h
  // What codes that differ from the step before weighed in the loss: they seem so much likelier
  // than they are, which draws take back. 1: draws are as the logits say.
  double changed_weight = 1;
  int64_t width = 256;  // D
  int64_t layers = 2;
  int64_t heads = 4;
  int64_t context = 8;     // steps seen when acting and before a dream
  int64_t max_steps = 24;  // longest sequence
  int64_t reward_bins = 255;

  // What a file of an older version does not name is as it was then: the default.
  NLOHMANN_DEFINE_TYPE_INTRUSIVE_WITH_DEFAULT(WorldOptions, kind, layout, value_channels, channels,
                                              local_blocks, local_path, local_frames, depth_head,
                                              mask, changed_weight, width, layers, heads, context,
                                              max_steps, reward_bins)
};

// What a world shows of a state, before the state's action is chosen.
struct States {
  torch::Tensor codes;   // (..., codes_width()) f32, what the picture's codes say
  torch::Tensor hidden;  // (..., hidden_width()) f32, what the transformer makes of the history
};

// What follows an action.
struct Outcomes {
  torch::Tensor rewards;    // (..., bins) f32, logits of policy::ScalarCoding
  torch::Tensor continues;  // (...) f32, logits
};

// What a world says of the steps of a window, each with the true past given (teacher forcing).
struct Prediction {
  torch::Tensor hidden;              // (B, T, hidden_width())
  std::vector<torch::Tensor> codes;  // L x (B, T - from, P, V_l) f32, logits of steps from … T - 1
  Outcomes outcomes;                 // (B, T, …), of each step's own action
  // (B, T) bool: the step was read behind the true past of its episode. Undefined: all were.
  torch::Tensor known;
};

// Codes (N, P, L) int64 -> their quantized grid (N, C, G, G): a tokenizer's.
using ValuesOfCodes = std::function<torch::Tensor(const torch::Tensor&)>;

// A batch of B games that goes on by itself, one imagined step at a time. Builds no graph.
class Rollout {
 public:
  virtual ~Rollout() = default;
  virtual const States& states() const = 0;        // (B, …), of the newest step
  virtual const torch::Tensor& codes() const = 0;  // (B, P, L) int64, of the newest step
  // Begins again in other windows, as many and as long as the first. The weights may have changed.
  virtual void Restart(const Steps& context) = 0;
  // Plays actions (B) int64: what follows them (B, …), and then the next step's codes. These are
  // drawn with `uniforms` (B, P, L) in [0, 1) at a temperature; temperature 0: the likeliest.
  virtual Outcomes Imagine(const torch::Tensor& actions, double temperature,
                           const torch::Tensor& uniforms) = 0;
  // The next step is a real one: actions (B) int64 led to codes (B, P, L), values (B, C, G, G).
  virtual void Follow(const torch::Tensor& actions, const torch::Tensor& codes,
                      const torch::Tensor& values) = 0;
};

class World : public torch::nn::Module {
 public:
  explicit World(WorldOptions options) : options_(std::move(options)) {}

  const WorldOptions& options() const { return options_; }
  virtual int64_t codes_width() const = 0;
  virtual int64_t hidden_width() const = 0;

  virtual States Observe(const Steps& steps) = 0;  // (B, T, …)
  // `from`: the first step whose codes are predicted, at least 1. Needs steps.actions.
  virtual Prediction Predict(const Steps& steps, int64_t from) = 0;
  // Dreams that go on from the last step of each window, with room for `room` steps.
  virtual std::unique_ptr<Rollout> Begin(const Steps& context, int64_t room,
                                         ValuesOfCodes values) = 0;
  // Real steps with which a player had better Follow before it reads a game's window again; 0: to
  // read the window at every step costs little.
  virtual int64_t followed_steps() const { return 0; }
  // Weights of hidden layers that learn better by Muon than by Adam; perhaps none.
  virtual std::vector<torch::Tensor> MuonMatrices() const { return {}; }

 private:
  WorldOptions options_;
};

// The world of options.kind. Throws a user Error for another kind.
std::shared_ptr<World> MakeWorld(const WorldOptions& options);

// What becomes of windows under given actions (B, H), with no real step in between.
struct OpenLoop {
  torch::Tensor codes;   // (B, H, P, L) int64
  torch::Tensor hidden;  // (B, H, hidden_width()) of these steps
};
// uniforms (H, B, P, L): as Rollout::Imagine's of each step; not used at temperature 0.
OpenLoop RunOpenLoop(World& world, const Steps& context, const torch::Tensor& actions,
                     const ValuesOfCodes& values, double temperature,
                     const torch::Tensor& uniforms = {});

// The next codes of one level: logits (..., V), the codes of the step before (...) int64 -> (...)
// int64. A change_weight other than 1 is taken back, see WorldOptions.
torch::Tensor DrawCodes(torch::Tensor logits, const torch::Tensor& now, double changed_weight,
                        double temperature, const torch::Tensor& uniforms);

}  // namespace hidreamer::world_model
