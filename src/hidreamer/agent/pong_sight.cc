#include "hidreamer/agent/pong_sight.h"

#include <algorithm>

#include "hidreamer/agent/observation.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/evaluation/game_artefacts.h"

namespace hidreamer::agent {
namespace {

constexpr int64_t kPicturesAtOnce = 128;
// Pong's field in the 64x64 picture: between the paddles, inside the walls.
constexpr int64_t kFieldLeft = 9, kFieldRight = 54, kFieldTop = 12, kFieldBottom = 58;
constexpr int64_t kOwnPaddleLeft = 55, kOwnPaddleRight = 59;
constexpr double kVisible = 0.1;  // contrast of a ball that counts as seen in the true picture

torch::Tensor Bytes(const data::EpisodeStore& store, const std::vector<int64_t>& rows,
                    const std::string& variable) {
  const int byte = env::RamByte(store.info().game, variable);
  std::vector<float> values;
  for (const int64_t row : rows) {
    values.push_back(store.ram()[static_cast<size_t>(row * env::kRamBytes + byte)]);
  }
  return torch::tensor(values);
}

}  // namespace

Sighting LookAtPong(const torch::Tensor& pictures, const torch::Tensor& background) {
  const int64_t n = pictures.size(0);
  const auto contrast = (pictures - background).abs().squeeze(1);  // (N, 64, 64)
  const int64_t height = kFieldBottom - kFieldTop, width = kFieldRight - kFieldLeft;
  const auto field = contrast.narrow(1, kFieldTop, height).narrow(2, kFieldLeft, width);
  const auto [strength, place] = field.flatten(1).max(1);
  const auto row = place.div(width, "floor").view({n, 1, 1}),
             column = (place % width).view({n, 1, 1});
  const auto rows = torch::arange(height).view({1, height, 1});
  const auto columns = torch::arange(width).view({1, 1, width});
  const auto near = (rows - row).abs().le(2).logical_and((columns - column).abs().le(2));
  const auto weights = field * near.to(torch::kFloat32);
  const auto mass = weights.sum({1, 2}).clamp_min(1e-6);
  const auto strip = contrast.narrow(1, kFieldTop, height)
                         .narrow(2, kOwnPaddleLeft, kOwnPaddleRight - kOwnPaddleLeft)
                         .sum(2);  // (N, height)
  const auto bright = torch::relu(strip - 0.5 * std::get<0>(strip.max(1, /*keepdim=*/true)));
  return {.x = (weights * columns).sum({1, 2}) / mass + static_cast<double>(kFieldLeft),
          .y = (weights * rows).sum({1, 2}) / mass + static_cast<double>(kFieldTop),
          .strength = strength,
          .paddle_y = (bright * torch::arange(height).view({1, height})).sum(1) /
                          bright.sum(1).clamp_min(1e-6) +
                      static_cast<double>(kFieldTop)};
}

torch::Tensor Distance(const Sighting& seen, const torch::Tensor& x, const torch::Tensor& y) {
  return ((seen.x - x).square() + (seen.y - y).square()).sqrt();
}

bool IsPong(const data::EpisodeStore& store) { return store.info().game == "pong"; }

PongTruth::PongTruth(const data::EpisodeStore& store, const torch::Tensor& background,
                     int64_t frames)
    : store_(store) {
  const auto rows =
      evaluation::SpreadWindowStarts({{.begin = 0, .end = store.size()}}, 1, 1, frames);
  std::vector<torch::Tensor> x, y, strength, paddle;
  for (size_t i = 0; i < rows.size(); i += kPicturesAtOnce) {
    const std::vector<int64_t> part(
        rows.begin() + static_cast<std::ptrdiff_t>(i),
        rows.begin() + static_cast<std::ptrdiff_t>(std::min(rows.size(), i + kPicturesAtOnce)));
    const auto seen = LookAtPong(ToTensor(ObserveRows(store, part)), background);
    x.push_back(seen.x), y.push_back(seen.y), strength.push_back(seen.strength);
    paddle.push_back(seen.paddle_y);
  }
  const auto visible = torch::cat(strength).gt(kVisible);
  const auto fit = [&](const char* variable, const std::vector<torch::Tensor>& seen) {
    return Fit(Bytes(store, rows, variable).masked_select(visible),
               torch::cat(seen).masked_select(visible));
  };
  x_ = fit("ball_x", x);
  y_ = fit("ball_y", y);
  paddle_ = fit("player_y", paddle);
}

// Least squares, then again on the points near the line: some pictures show no ball.
PongTruth::Line PongTruth::Fit(torch::Tensor x, torch::Tensor y) {
  Line line;
  for (int round = 0; round < 4; ++round) {
    const auto mean_x = x.mean(), mean_y = y.mean();
    line.slope = (((x - mean_x) * (y - mean_y)).sum() / (x - mean_x).square().sum().clamp_min(1e-6))
                     .item<double>();
    line.offset = mean_y.item<double>() - line.slope * mean_x.item<double>();
    const auto near = (line(x) - y).abs().lt(round == 0 ? 8 : 3);
    if (near.sum().item<int64_t>() < 16) {
      break;
    }
    x = x.masked_select(near);
    y = y.masked_select(near);
  }
  return line;
}

torch::Tensor PongTruth::X(const std::vector<int64_t>& rows) const {
  return x_(Bytes(store_, rows, "ball_x"));
}

torch::Tensor PongTruth::Y(const std::vector<int64_t>& rows) const {
  return y_(Bytes(store_, rows, "ball_y"));
}

torch::Tensor PongTruth::Paddle(const std::vector<int64_t>& rows) const {
  return paddle_(Bytes(store_, rows, "player_y"));
}

torch::Tensor PongTruth::InPlay(const std::vector<int64_t>& rows) const {
  const auto x = X(rows), y = Y(rows);
  return x.gt(kFieldLeft + 2)
      .logical_and(x.lt(kFieldRight - 3))
      .logical_and(y.gt(kFieldTop + 1))
      .logical_and(y.lt(kFieldBottom - 2));
}

nlohmann::json PongTruth::ToJson() const {
  return {{"ball_x", {x_.slope, x_.offset}},
          {"ball_y", {y_.slope, y_.offset}},
          {"player_y", {paddle_.slope, paddle_.offset}}};
}

}  // namespace hidreamer::agent
