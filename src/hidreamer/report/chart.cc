#include "hidreamer/report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "hidreamer/report/html.h"

namespace hidreamer::report {
namespace {

constexpr double kWidth = 380;
constexpr double kHeight = 220;
constexpr double kLeft = 46;
constexpr double kRight = 12;
constexpr double kTop = 30;
constexpr double kBottom = 40;

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void Add(double value) {
    if (std::isfinite(value)) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  bool empty() const { return low > high; }
  // So that a constant still has a scale.
  void Widen() {
    if (high - low < 1e-12) {
      low -= 0.5;
      high += 0.5;
    }
  }
};

// From data to pixels of the plot's area.
struct Scale {
  Range x, y;
  double X(double value) const {
    return kLeft + (value - x.low) / (x.high - x.low) * (kWidth - kLeft - kRight);
  }
  double Y(double value) const {
    return kHeight - kBottom - (value - y.low) / (y.high - y.low) * (kHeight - kTop - kBottom);
  }
};

std::string Open(const std::string& title) {
  return fmt::format(
      "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">"
      "<text class=\"title\" x=\"{}\" y=\"16\">{}</text>",
      kWidth, kHeight, Escape(title), kLeft, Escape(title));
}

std::string Axes(const Scale& scale, const std::string& x_label, const std::string& y_label,
                 bool log_y) {
  std::string out;
  for (const double tick : NiceTicks(scale.y.low, scale.y.high, 4)) {
    const double shown = log_y ? std::pow(10.0, tick) : tick;
    out += fmt::format(
        "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text class=\"tick\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
        kLeft, kWidth - kRight, scale.Y(tick), scale.Y(tick), kLeft - 6, scale.Y(tick) + 3.5,
        FormatNumber(shown));
  }
  for (const double tick : NiceTicks(scale.x.low, scale.x.high, 6)) {
    out +=
        fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                    scale.X(tick), kHeight - kBottom + 15, FormatNumber(tick));
  }
  out += fmt::format("<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                     kWidth - kRight, kHeight - 8, Escape(x_label));
  if (!y_label.empty()) {
    out += fmt::format("<text class=\"label\" x=\"{}\" y=\"16\" text-anchor=\"end\">{}</text>",
                       kWidth - kRight, Escape(y_label));
  }
  return out;
}

struct Key {
  std::string style;  // class of the swatch
  std::string name;
};

std::string Legend(const std::vector<Key>& keys) {
  std::string out = "<div class=\"legend\">";
  for (const Key& key : keys) {
    out += fmt::format("<span><i class=\"{}\"></i>{}</span>", key.style, Escape(key.name));
  }
  return out + "</div>";
}

}  // namespace

std::vector<double> NiceTicks(double low, double high, int count) {
  const double rough = (high - low) / std::max(1, count);
  if (!(rough > 0) || !std::isfinite(rough)) {
    return {};
  }
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * 0.999) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; ++i) {
    ticks.push_back(i * step);
  }
  return ticks;
}

std::string RenderLineChart(const LineChart& chart) {
  Scale scale;
  bool any = false;
  const auto shown = [&](double y) {
    return chart.log_y ? (y > 0 ? std::log10(y) : std::nan("")) : y;
  };
  for (const Series& series : chart.series) {
    const size_t count = std::min(series.x.size(), series.y.size());
    any |= count >= 2;
    for (size_t i = 0; i < count; ++i) {
      scale.x.Add(series.x[i]);
      scale.y.Add(shown(series.y[i]));
    }
  }
  if (!any || scale.x.empty() || scale.y.empty()) {
    return {};
  }
  if (chart.y_min) {
    scale.y.low = shown(*chart.y_min);
  }
  if (chart.y_max) {
    scale.y.high = shown(*chart.y_max);
  }
  scale.x.Widen();
  scale.y.Widen();
  std::string out = Open(chart.title) + Axes(scale, chart.x_label, chart.y_label, chart.log_y);
  std::vector<Key> keys;
  int colour = 0;
  int dash = 0;
  for (const Series& series : chart.series) {
    const std::string style =
        series.baseline ? fmt::format("b{}", dash++ % 3) : fmt::format("s{}", colour++ % 6);
    std::string path;
    bool pen_up = true;
    for (size_t i = 0; i < std::min(series.x.size(), series.y.size()); ++i) {
      const double y = shown(series.y[i]);
      if (!std::isfinite(y) || !std::isfinite(series.x[i])) {
        pen_up = true;
        continue;
      }
      path += fmt::format("{}{:.1f} {:.1f}", pen_up ? "M" : "L", scale.X(series.x[i]),
                          scale.Y(std::clamp(y, scale.y.low, scale.y.high)));
      pen_up = false;
    }
    out += fmt::format("<path class=\"line {}\" d=\"{}\"/>", style, path);
    keys.push_back({style, series.name});
  }
  return "<div class=\"plot\">" + out + "</svg>" + Legend(keys) + "</div>";
}

std::string RenderHistogram(const Histogram& histogram) {
  Scale scale;
  for (const auto* sample : {&histogram.values, &histogram.baseline}) {
    for (const double value : *sample) {
      scale.x.Add(value);
    }
  }
  if (scale.x.empty()) {
    return {};
  }
  scale.x.Widen();
  const double width = (scale.x.high - scale.x.low) / histogram.bins;
  const auto shares = [&](const std::vector<double>& sample) {
    std::vector<double> bins(static_cast<size_t>(histogram.bins), 0.0);
    for (const double value : sample) {
      const auto bin = static_cast<int>((value - scale.x.low) / width);
      bins[static_cast<size_t>(std::clamp(bin, 0, histogram.bins - 1))] +=
          100.0 / static_cast<double>(sample.size());
    }
    return bins;
  };
  const std::vector<double> values = shares(histogram.values);
  const std::vector<double> baseline = shares(histogram.baseline);
  scale.y.low = 0;
  scale.y.Add(1);
  for (const auto* bins : {&values, &baseline}) {
    for (const double share : *bins) {
      scale.y.Add(share);
    }
  }
  std::string out =
      Open(histogram.title) + Axes(scale, histogram.x_label, "% of games", /*log_y=*/false);
  const auto draw = [&](const std::vector<double>& bins, const char* style) {
    for (int i = 0; i < histogram.bins; ++i) {
      const double share = bins[static_cast<size_t>(i)];
      if (share > 0) {
        const double left = scale.X(scale.x.low + width * i);
        out += fmt::format(
            "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>",
            style, left + 0.5, scale.Y(share), scale.X(scale.x.low + width * (i + 1)) - left - 1,
            scale.Y(0) - scale.Y(share));
      }
    }
  };
  std::vector<Key> keys;
  if (!histogram.baseline.empty()) {
    draw(baseline, "bar b0");
    keys.push_back({"b0", histogram.baseline_name});
  }
  draw(values, "bar s0");
  keys.insert(keys.begin(), {"s0", histogram.name});
  return "<div class=\"plot\">" + out + "</svg>" + Legend(keys) + "</div>";
}

std::string RenderBarStrip(const BarStrip& strip, int colour) {
  if (strip.values.empty()) {
    return {};
  }
  constexpr double kStripWidth = 512;
  constexpr double kStripHeight = 64;
  const double top = std::max(1e-12, *std::max_element(strip.values.begin(), strip.values.end()));
  const double width = kStripWidth / static_cast<double>(strip.values.size());
  std::string path;
  for (size_t i = 0; i < strip.values.size(); ++i) {
    const double height = std::max(0.0, strip.values[i]) / top * kStripHeight;
    path += fmt::format("M{:.2f} {}v{:.2f}h{:.2f}v{:.2f}z", static_cast<double>(i) * width,
                        kStripHeight, -height, width * 0.85, height);
  }
  return fmt::format(
      "<div class=\"strip\"><div class=\"striphead\"><span>{}</span><span>{}</span></div>"
      "<svg viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">"
      "<path class=\"bar s{}\" d=\"{}\"/></svg></div>",
      Escape(strip.title), Escape(strip.caption), kStripWidth, kStripHeight, Escape(strip.title),
      colour % 6, path);
}

std::string RenderMask(const MaskPicture& mask) {
  if (mask.rows.empty()) {
    return {};
  }
  constexpr double kCell = 14;
  constexpr double kMargin = 34;
  const auto count = static_cast<double>(mask.rows.size());
  const double size = kMargin + count * kCell + 2;
  std::string out =
      fmt::format("<svg class=\"mask\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">", size,
                  size, Escape(mask.title));
  for (size_t q = 0; q < mask.rows.size(); ++q) {
    const double y = kMargin + static_cast<double>(q) * kCell;
    if (!mask.labels.empty()) {
      const std::string& label = mask.labels[q % mask.labels.size()];
      out += fmt::format("<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                         kMargin - 5, y + kCell - 3.5, Escape(label));
      out +=
          fmt::format("<text class=\"tick\" transform=\"translate({},{}) rotate(-90)\">{}</text>",
                      y + kCell - 3.5, kMargin - 5, Escape(label));
    }
    for (size_t k = 0; k < mask.rows[q].size(); ++k) {
      const bool open = mask.rows[q][k] == '1';
      const bool same_step =
          !mask.labels.empty() && q / mask.labels.size() == k / mask.labels.size();
      out += fmt::format("<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                         open ? (same_step ? "cell s1" : "cell s0") : "cell shut",
                         kMargin + static_cast<double>(k) * kCell, y, kCell - 1, kCell - 1);
    }
  }
  if (!mask.labels.empty()) {
    const auto group = static_cast<double>(mask.labels.size());
    for (double at = group; at < count; at += group) {
      const double p = kMargin + at * kCell - 0.5;
      out += fmt::format("<path class=\"rule\" d=\"M{0} {1}V{2}M{1} {0}H{2}\"/>", p, kMargin,
                         size - 2);
    }
  }
  return "<div class=\"plot\"><div class=\"masktitle\">" + Escape(mask.title) + "</div>" + out +
         "</svg></div>";
}

}  // namespace hidreamer::report
