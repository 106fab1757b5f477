#include "hidreamer/encoder/encoder.h"

#include "hidreamer/encoder/info_nce.h"
#include "hidreamer/parity/parity.h"
#include "hidreamer/training/optimizer.h"

namespace hidreamer::parity {
namespace {

// Three updates on one fixed batch.
struct Training {
  std::vector<torch::Tensor> losses, norms;
  std::vector<torch::Tensor> norm_per_tensor;  // of the first update
};

Training Train(encoder::Encoder& encoder, const torch::Tensor& frames, double temperature,
               const nlohmann::json& adam, int64_t updates) {
  const std::vector<torch::Tensor> parts = frames.chunk(3);  // anchors, positives, negatives
  training::Adam optimizer(training::NamedParameters(*encoder), {.beta1 = adam.at("betas").at(0),
                                                                 .beta2 = adam.at("betas").at(1),
                                                                 .epsilon = adam.at("eps"),
                                                                 .weight_decay = adam.at("l2")});
  Training training;
  for (int64_t update = 0; update < updates; ++update) {
    optimizer.ZeroGrad();
    const torch::Tensor loss =
        encoder::OneNegativeInfoNce(encoder->forward(parts[0]), encoder->forward(parts[1]),
                                    encoder->forward(parts[2]), temperature)
            .loss;
    loss.backward();
    training.losses.push_back(loss.detach());
    if (update == 0) {
      for (const training::NamedParameter& parameter : optimizer.parameters()) {
        training.norm_per_tensor.push_back(parameter.value.grad().norm());
      }
    }
    training.norms.push_back(
        training::ClipGradNorm(optimizer.parameters(), adam.at("clip_norm").get<double>()));
    optimizer.Step(adam.at("lr"));
  }
  return training;
}

}  // namespace

std::vector<ParityRow> CheckEncoder(const ParityComponent& component) {
  const nlohmann::json& config = component.config();
  encoder::Encoder encoder = encoder::EncoderFromState(component.weights());
  const torch::Tensor frames = component.Input("frames");  // (6, 4, 84, 84) u8
  const double temperature = config.at("temperature");
  std::vector<ParityRow> rows;
  {
    torch::NoGradGuard no_grad;
    rows.push_back(component.Compare("embeddings", encoder->forward(frames)));
    rows.push_back(component.Compare(
        "infonce_loss", encoder::OneNegativeInfoNce(
                            component.Input("infonce_anchor"), component.Input("infonce_positive"),
                            component.Input("infonce_negative"), temperature)
                            .loss));
  }
  encoder->train();
  const Training training = Train(encoder, frames, temperature, config.at("adam"),
                                  component.Input("train_losses").size(0));
  rows.push_back(component.Compare("train_losses", torch::stack(training.losses)));
  rows.push_back(component.Compare("train_grad_norms", torch::stack(training.norms)));
  rows.push_back(
      component.Compare("train_grad_norm_per_tensor", torch::stack(training.norm_per_tensor)));
  torch::NoGradGuard no_grad;
  encoder->eval();
  rows.push_back(component.Compare("embeddings_after3", encoder->forward(frames)));
  return rows;
}

}  // namespace hidreamer::parity
