#include "hidreamer/formats/tensor_map.h"
#include "hidreamer/parity/parity.h"
#include "hidreamer/tokenizer/residual_quantizer.h"

namespace hidreamer::parity {
namespace {

using tokenizer::ResidualQuantizer;
using tokenizer::ResidualQuantizerOutput;

ResidualQuantizer LoadQuantizer(const ParityComponent& component) {
  const nlohmann::json& config = component.config();
  ResidualQuantizer quantizer(tokenizer::ResidualQuantizerOptions{
      .dim = config.at("dim"),
      .levels = config.at("levels"),
      .codes = config.at("codes"),
      .commitment_costs = config.at("commitment_costs").get<std::vector<double>>(),
      .decay = config.at("decay"),
      .epsilon = config.at("epsilon")});
  formats::LoadNamedState(*quantizer, component.weights());
  return quantizer;
}

// By how much the nearest code is nearer than the second nearest, per row and level: z (N, D),
// residuals of each level -> (N, L) f64.
torch::Tensor Margins(const ResidualQuantizer& quantizer, const torch::Tensor& z,
                      const std::vector<torch::Tensor>& residuals) {
  std::vector<torch::Tensor> margins;
  for (size_t level = 0; level < residuals.size(); ++level) {
    const torch::Tensor rows = level == 0 ? z : residuals[level - 1];
    const torch::Tensor& codes = quantizer->level(static_cast<int64_t>(level))->weight();
    const torch::Tensor distances =
        (rows.to(torch::kFloat64).unsqueeze(1) - codes.to(torch::kFloat64).unsqueeze(0))
            .pow(2)
            .sum(-1);  // (N, V)
    const torch::Tensor nearest = std::get<0>(distances.topk(2, 1, /*largest=*/false));
    margins.push_back(nearest.select(1, 1) - nearest.select(1, 0));
  }
  return torch::stack(margins, 1);
}

// Rows `rows` (L, R) of one (V, D) tensor per level -> (L, R, D).
torch::Tensor SelectRows(const std::vector<torch::Tensor>& levels, const torch::Tensor& rows) {
  std::vector<torch::Tensor> selected;
  for (size_t level = 0; level < levels.size(); ++level) {
    selected.push_back(levels[level].index_select(0, rows[static_cast<int64_t>(level)]));
  }
  return torch::stack(selected);
}

void CheckQuantizerTraining(const ParityComponent& component, std::vector<ParityRow>& rows) {
  ResidualQuantizer quantizer = LoadQuantizer(component);
  quantizer->train();
  std::vector<torch::Tensor> codes, losses, min_margins;
  for (const torch::Tensor& batch : component.Input("train_batches").unbind(0)) {  // (N, D) each
    ResidualQuantizer before = LoadQuantizer(component);
    formats::LoadNamedState(*before, formats::NamedState(*quantizer));
    const ResidualQuantizerOutput output = quantizer->forward(batch);
    codes.push_back(output.codes);
    losses.push_back(output.commitment_loss);
    min_margins.push_back(Margins(before, batch, output.residuals).min());
  }
  std::vector<torch::Tensor> sizes, codebooks, sums, squares;
  for (int64_t level = 0; level < quantizer->options().levels; ++level) {
    const tokenizer::CodebookLevel& codebook = quantizer->level(level);
    sizes.push_back(codebook->cluster_size());
    codebooks.push_back(codebook->weight());
    sums.push_back(codebook->ema_weight());
    squares.push_back(codebook->weight().to(torch::kFloat64).pow(2).sum(-1));
  }
  const torch::Tensor after_rows = component.Input("after_rows");  // (L, R)
  rows.push_back(component.Compare("train_tokens", torch::stack(codes)));
  rows.push_back(component.Compare("train_losses", torch::stack(losses)));
  rows.push_back(component.Compare("train_min_margin", torch::stack(min_margins)));
  rows.push_back(component.Compare("after_cluster_size", torch::stack(sizes)));
  rows.push_back(component.Compare("after_codebook", SelectRows(codebooks, after_rows)));
  rows.push_back(component.Compare("after_ema_weight", SelectRows(sums, after_rows)));
  rows.push_back(component.Compare("after_codebook_sq", torch::stack(squares)));
}

}  // namespace

std::vector<ParityRow> CheckHrvq(const ParityComponent& component) {
  torch::NoGradGuard no_grad;
  ResidualQuantizer quantizer = LoadQuantizer(component);
  quantizer->eval();
  const torch::Tensor vectors = component.Input("vectors");  // (N, D)
  const ResidualQuantizerOutput output = quantizer->forward(vectors);
  std::vector<ParityRow> rows;
  rows.push_back(component.Compare("tokens", quantizer->Encode(vectors)));
  rows.push_back(component.Compare("margins", Margins(quantizer, vectors, output.residuals)));
  rows.push_back(component.Compare("residuals", torch::stack(output.residuals)));
  rows.push_back(component.Compare("quantized", output.quantized));
  rows.push_back(component.Compare("layer_mse", output.level_errors));
  rows.push_back(component.Compare("loss", output.commitment_loss));
  rows.push_back(component.Compare("decoded", quantizer->Decode(component.Input("decode_tokens"))));
  CheckQuantizerTraining(component, rows);
  return rows;
}

}  // namespace hidreamer::parity
