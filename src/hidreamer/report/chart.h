#pragma once

#include <optional>
#include <string>
#include <vector>

// Charts as inline SVG. Colours come from the page's style sheet (classes s0 … s5 and base), so
// that they follow its light and dark theme. All texts are escaped here.
namespace hidreamer::report {

struct Series {
  std::string name;
  std::vector<double> x = {};
  std::vector<double> y = {};  // non-finite values leave a gap
  bool baseline = false;       // drawn dashed and gray
};

struct LineChart {
  std::string title;
  std::string x_label;
  std::string y_label = {};
  std::vector<Series> series = {};
  std::optional<double> y_min = {};  // else from the data
  std::optional<double> y_max = {};
  bool log_y = false;  // values of 0 and below leave a gap
};
// An empty string where no series has two points.
std::string RenderLineChart(const LineChart& chart);

struct Histogram {
  std::string title;
  std::string x_label;
  std::string name;  // of `values`
  std::vector<double> values = {};
  std::string baseline_name = {};
  std::vector<double> baseline = {};  // a second sample, may be empty
  int bins = 24;
};
std::string RenderHistogram(const Histogram& histogram);

// One thin bar a value, e.g. how often each code is used; sorted by the caller where wanted.
struct BarStrip {
  std::string title;
  std::vector<double> values = {};
  std::string caption = {};  // below the strip, at the right
};
std::string RenderBarStrip(const BarStrip& strip, int colour = 0);

// A square of cells: rows of '0' and '1' (1 = may attend); lines every `group` cells, and row
// names repeated from `labels`.
struct MaskPicture {
  std::string title;
  std::vector<std::string> rows = {};
  std::vector<std::string> labels = {};  // of one group
};
std::string RenderMask(const MaskPicture& mask);

// Round tick values that cover [low, high], about `count` of them.
std::vector<double> NiceTicks(double low, double high, int count);

}  // namespace hidreamer::report
