#include "hidreamer/encoder/encoder.h"

#include <iterator>
#include <nlohmann/json.hpp>

#include "hidreamer/base/error.h"
#include "hidreamer/env/environment.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/layers/conv_stack.h"
#include "hidreamer/layers/packed_linear.h"

namespace hidreamer::encoder {
namespace {

constexpr char kFormat[] = "hidreamer.encoder/1";
constexpr int64_t kFeatures = 64 * 7 * 7;
constexpr int64_t kHidden = 512;

}  // namespace

EncoderImpl::EncoderImpl(EncoderOptions options) : options_(options) {
  using layers::PackedLinear;
  using torch::nn::Conv2d;
  using torch::nn::Conv2dOptions;
  using torch::nn::ReLU;
  const auto in_place = torch::nn::ReLUOptions(true);
  encoder_ = register_module(
      "encoder", torch::nn::Sequential(
                     Conv2d(Conv2dOptions(options_.stack, 32, 8).stride(4)),      // (B, 32, 20, 20)
                     ReLU(in_place), Conv2d(Conv2dOptions(32, 64, 4).stride(2)),  // (B, 64, 9, 9)
                     ReLU(in_place), Conv2d(Conv2dOptions(64, 64, 3)),            // (B, 64, 7, 7)
                     ReLU(in_place),
                     torch::nn::Flatten()));  // (B, 3136)
  projection_ = register_module(
      "projection",
      torch::nn::Sequential(PackedLinear(kFeatures, kHidden), ReLU(in_place),
                            PackedLinear(kHidden, options_.width),
                            torch::nn::LayerNorm(torch::nn::LayerNormOptions({options_.width}))));
  torch::NoGradGuard no_grad;
  for (auto& module : modules(/*include_self=*/false)) {
    if (auto* conv = module->as<Conv2d>()) {
      torch::nn::init::kaiming_normal_(conv->weight, 0, torch::kFanOut, torch::kReLU);
      conv->bias.zero_();
    } else if (auto* linear = module->as<torch::nn::Linear>()) {
      torch::nn::init::kaiming_normal_(linear->weight, 0, torch::kFanIn, torch::kReLU);
      linear->bias.zero_();
    }
  }
}

torch::Tensor EncoderImpl::forward(const torch::Tensor& frames) {
  HID_CHECK(frames.dim() == 4 && frames.size(1) == options_.stack &&
                frames.size(2) == env::kFrameSize && frames.size(3) == env::kFrameSize &&
                frames.scalar_type() == torch::kUInt8,
            "frames must be u8 (B, {}, 84, 84)", options_.stack);
  const auto type = parameters().front().scalar_type();
  layers::ConvStackParameters convolutions;
  for (size_t i = 0; i < 3; ++i) {
    const auto* const conv = encoder_->ptr(2 * i)->as<torch::nn::Conv2d>();
    convolutions.weights[i] = conv->weight;
    convolutions.biases[i] = conv->bias;
  }
  torch::Tensor x = layers::HasConvStack(frames, convolutions)
                        ? layers::ConvStack(frames, convolutions)
                        : encoder_->forward(frames.to(type).div_(255));  // (B, 3136)
  // Under autocast the linear maps give bf16; LayerNorm and the norm after it run in the weights'
  // type.
  const auto layer_norm = std::prev(projection_->end());
  for (auto module = projection_->begin(); module != layer_norm; ++module) {
    x = module->any_forward(x).get<torch::Tensor>();
  }
  x = layer_norm->any_forward(x.to(type)).get<torch::Tensor>();  // (B, D)
  return torch::nn::functional::normalize(
      x, torch::nn::functional::NormalizeFuncOptions().p(2).dim(1).eps(1e-12));
}

std::map<std::string, std::string> Metadata(const EncoderOptions& options) {
  return {{"format", kFormat},
          {"options", nlohmann::json{{"stack", options.stack}, {"width", options.width}}.dump()}};
}

void SaveEncoder(Encoder encoder, const std::filesystem::path& path) {
  formats::SaveSafetensors(path, formats::NamedState(*encoder), Metadata(encoder->options()));
}

Encoder EncoderFromState(const formats::TensorMap& state) {
  const auto first = state.find("encoder.0.weight");
  const auto last = state.find("projection.2.weight");
  if (first == state.end() || last == state.end() || first->second.dim() != 4 ||
      last->second.dim() != 2) {
    throw UserError("an encoder's file holds encoder.0/2/4 and projection.0/2/3",
                    "these are not the weights of an encoder");
  }
  Encoder encoder(EncoderOptions{.stack = first->second.size(1), .width = last->second.size(0)});
  formats::LoadNamedState(*encoder, state);
  encoder->eval();
  return encoder;
}

Encoder LoadEncoder(const std::filesystem::path& path) {
  const formats::SafetensorsFile file = formats::LoadSafetensors(path);
  const auto format = file.metadata.find("format");
  if (format != file.metadata.end() && format->second != kFormat) {
    throw UserError("give an encoder's model.safetensors", "{} holds '{}', not '{}'", path.string(),
                    format->second, kFormat);
  }
  // The shapes say all that the options say.
  try {
    return EncoderFromState(file.tensors);
  } catch (const Error& error) {
    throw UserError(error.hint(), "{}: {}", path.string(), error.what());
  }
}

}  // namespace hidreamer::encoder
