#include "hidreamer/tokenizer/residual_quantizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/formats/safetensors.h"

namespace hidreamer::tokenizer {
namespace {

ResidualQuantizer Seeded(int64_t dim, int64_t levels, int64_t codes) {
  torch::manual_seed(7);
  ResidualQuantizer quantizer(
      ResidualQuantizerOptions{.dim = dim, .levels = levels, .codes = codes});
  Rng rng(1);
  quantizer->Seed(torch::randn({20 * codes, dim}), rng);
  return quantizer;
}

std::string Name(int64_t level, const std::string& field) {
  return "vq_layers." + std::to_string(level) + "." + field;
}

TEST(ResidualQuantizer, HasTheStatedCodebooksAndNames) {
  ResidualQuantizer quantizer;
  int64_t values = 0;
  const formats::TensorMap state = formats::NamedState(*quantizer);
  EXPECT_EQ(state.size(), 9U);
  for (int64_t l = 0; l < 3; ++l) {
    values += state.at(Name(l, "codebook.weight")).numel();
    EXPECT_EQ(state.at(Name(l, "ema_weight")).numel(), 256 * 384);
    EXPECT_EQ(state.at(Name(l, "ema_cluster_size")).numel(), 256);
  }
  EXPECT_EQ(values, 294'912);
}

TEST(ResidualQuantizer, ReturnsNearestCodewordOfEachResidual) {
  for (const auto& [dim, levels, codes] : {std::tuple{12, 3, 32}, std::tuple{20, 1, 16}}) {
    ResidualQuantizer quantizer = Seeded(dim, levels, codes);
    quantizer->eval();
    const torch::Tensor z = torch::randn({300, dim});
    const ResidualQuantizerOutput output = quantizer->forward(z);
    ASSERT_EQ(output.codes.sizes(), (std::vector<int64_t>{300, levels}));
    torch::Tensor residual = z.to(torch::kDouble);
    for (int64_t l = 0; l < levels; ++l) {
      const torch::Tensor book = quantizer->level(l)->weight().to(torch::kDouble);
      const torch::Tensor nearest =
          (residual.unsqueeze(1) - book.unsqueeze(0)).square().sum(2).argmin(1);
      EXPECT_TRUE(output.codes.select(1, l).equal(nearest)) << "level " << l;
      residual = residual - book.index_select(0, nearest);
    }
    EXPECT_TRUE(torch::allclose(output.residuals.back().to(torch::kDouble), residual, 0, 1e-5));
    EXPECT_TRUE(torch::allclose(output.quantized, z - output.residuals.back(), 0, 1e-5));
  }
}

TEST(ResidualQuantizer, EncodeAndDecodeAgreeWithForward) {
  ResidualQuantizer quantizer = Seeded(16, 3, 32);
  quantizer->eval();
  const torch::Tensor z = torch::randn({2300, 16});  // more than two blocks
  const ResidualQuantizerOutput output = quantizer->forward(z);
  EXPECT_TRUE(quantizer->Encode(z).equal(output.codes));
  EXPECT_TRUE(torch::allclose(quantizer->Decode(output.codes), output.quantized, 0, 1e-5));
}

TEST(ResidualQuantizer, EncodeChangesNothingEvenInTrainMode) {
  ResidualQuantizer quantizer = Seeded(8, 2, 16);
  quantizer->train();
  const torch::Tensor before = quantizer->level(1)->ema_weight().clone();
  quantizer->Encode(torch::randn({50, 8}));
  EXPECT_TRUE(before.equal(quantizer->level(1)->ema_weight()));
}

TEST(ResidualQuantizer, MovesCodebooksAsThePlainFormulaSays) {
  const int64_t levels = 2, codes = 16, dim = 6, rows = 40;
  ResidualQuantizer quantizer = Seeded(dim, levels, codes);
  std::vector<torch::Tensor> book, sum, size;
  for (int64_t l = 0; l < levels; ++l) {
    book.push_back(quantizer->level(l)->weight().to(torch::kDouble).clone());
    sum.push_back(quantizer->level(l)->ema_weight().to(torch::kDouble).clone());
    size.push_back(quantizer->level(l)->cluster_size().to(torch::kDouble).clone());
  }
  quantizer->train();
  for (int step = 0; step < 3; ++step) {
    const torch::Tensor z = torch::randn({rows, dim});
    const torch::Tensor codes_now = quantizer->forward(z).codes;
    torch::Tensor residual = z.to(torch::kDouble);
    for (int64_t l = 0; l < levels; ++l) {
      auto& b = book[static_cast<size_t>(l)];
      auto& w = sum[static_cast<size_t>(l)];
      auto& n = size[static_cast<size_t>(l)];
      n *= 0.99;
      w *= 0.99;
      torch::Tensor next = residual.clone();
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t k = codes_now[i][l].item<int64_t>();
        n[k] += 0.01;
        w[k] += residual[i] * 0.01;
        next[i] -= b[k];
      }
      const double total = n.sum().item<double>();
      b = w / ((n + 1e-5) / (total + static_cast<double>(codes) * 1e-5) * total).unsqueeze(1);
      residual = next;
    }
  }
  for (int64_t l = 0; l < levels; ++l) {
    const auto i = static_cast<size_t>(l);
    EXPECT_TRUE(
        torch::allclose(quantizer->level(l)->weight().to(torch::kDouble), book[i], 1e-5, 1e-6));
    EXPECT_TRUE(torch::allclose(quantizer->level(l)->cluster_size().to(torch::kDouble), size[i],
                                1e-5, 1e-6));
  }
}

TEST(ResidualQuantizer, PassesTheGradientStraightThrough) {
  ResidualQuantizer quantizer = Seeded(8, 3, 16);
  quantizer->eval();
  const torch::Tensor z = torch::randn({10, 8}).requires_grad_();
  const torch::Tensor weights = torch::randn({10, 8});
  (quantizer->forward(z).quantized * weights).sum().backward();
  EXPECT_TRUE(z.grad().equal(weights));
}

TEST(ResidualQuantizer, EveryLevelsCommitmentPullsOnTheInput) {
  for (int64_t only = 0; only < 3; ++only) {
    ResidualQuantizerOptions options{.dim = 8, .levels = 3, .codes = 16};
    options.commitment_costs = {0, 0, 0};
    options.commitment_costs[static_cast<size_t>(only)] = 1;
    ResidualQuantizer quantizer(options);
    Rng rng(1);
    torch::manual_seed(1);
    quantizer->Seed(torch::randn({200, 8}), rng);
    quantizer->eval();
    const torch::Tensor z = torch::randn({10, 8}).requires_grad_();
    quantizer->forward(z).commitment_loss.backward();
    EXPECT_GT(z.grad().abs().sum().item<double>(), 0) << "level " << only;
  }
}

TEST(ResidualQuantizer, SeedUsesAllCodesOnSeparateClusters) {
  torch::manual_seed(4);
  const torch::Tensor coarse = torch::randn({16, 10}) * 100;
  const torch::Tensor fine = torch::randn({16, 10});
  // Every sum of a coarse and a fine vector.
  const torch::Tensor rows = (coarse.unsqueeze(1) + fine.unsqueeze(0)).reshape({256, 10});
  ResidualQuantizer quantizer(ResidualQuantizerOptions{.dim = 10, .levels = 2, .codes = 16});
  Rng rng(2);
  quantizer->Seed(rows, rng);
  const torch::Tensor codes = quantizer->Encode(rows);
  EXPECT_EQ(torch::bincount(codes.select(1, 0), {}, 16).eq(16).sum().item<int64_t>(), 16);
  EXPECT_EQ(torch::bincount(codes.select(1, 1), {}, 16).gt(0).sum().item<int64_t>(), 16);
  EXPECT_TRUE(quantizer->level(0)->cluster_size().eq(1).all().item<bool>());
}

TEST(CodebookLevel, RevivesOnlyDeadCodesFromTheBatch) {
  CodebookLevel level(4, 3);
  torch::manual_seed(1);
  const torch::Tensor start = torch::randn({4, 3});
  level->Start(start);
  // Code 0 takes every row of 300 updates; the others' sizes decay to 0.99^300 = 0.049.
  for (int i = 0; i < 300; ++i) {
    level->Update(start[0].repeat({8, 1}), torch::zeros({8}, torch::kLong), 0.99, 1e-5);
  }
  const torch::Tensor kept = level->weight()[0].clone();
  const torch::Tensor batch = torch::randn({8, 3}) + 50;
  CodebookLevel other(4, 3);
  formats::LoadNamedState(*other, formats::NamedState(*level));
  Rng rng(3), same(3);
  EXPECT_EQ(level->Revive(batch, 0.05, rng), 3);
  EXPECT_TRUE(level->weight()[0].equal(kept));
  const torch::Tensor order = torch::tensor(same.Permutation(8), torch::kLong);
  EXPECT_EQ(other->Revive(batch, 0.05, order).item<int64_t>(), 3);
  for (const auto& [name, value] : formats::NamedState(*level)) {
    EXPECT_TRUE(value.equal(formats::NamedState(*other).at(name))) << name;
  }
  for (int64_t k = 1; k < 4; ++k) {
    EXPECT_TRUE((batch == level->weight()[k]).all(1).any().item<bool>());
    EXPECT_FLOAT_EQ(level->cluster_size()[k].item<float>(), 2.0F);  // 8 rows / 4 codes
  }
  EXPECT_EQ(level->Revive(batch, 0.05, rng), 0);
}

TEST(ResidualQuantizer, ComesBackFromAFile) {
  const auto path = std::filesystem::temp_directory_path() /
                    (std::to_string(getpid()) + "_hid_residual_quantizer.safetensors");
  ResidualQuantizer quantizer = Seeded(8, 2, 16);
  const torch::Tensor z = torch::randn({100, 8});
  SaveResidualQuantizer(quantizer, path);
  ResidualQuantizer loaded = LoadResidualQuantizer(path);
  EXPECT_TRUE(quantizer->Encode(z).equal(loaded->Encode(z)));
  EXPECT_EQ(loaded->options().commitment_costs, (std::vector<double>{.05, .25}));

  formats::SaveSafetensors(path,
                           formats::NamedState(*quantizer));  // as an imported one: no metadata
  EXPECT_EQ(LoadResidualQuantizer(path)->options().levels, 2);
  formats::SaveSafetensors(path, {{"x", torch::zeros({2})}});
  EXPECT_THROW(LoadResidualQuantizer(path), Error);
  std::filesystem::remove(path);
}

TEST(ResidualQuantizer, WantsACommitmentCostForEachLevel) {
  EXPECT_THROW(ResidualQuantizer(ResidualQuantizerOptions{.levels = 4}), Error);
}

}  // namespace
}  // namespace hidreamer::tokenizer
