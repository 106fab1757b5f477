#include "hidreamer/report/html.h"

#include <fmt/format.h>

#include <cmath>

namespace hidreamer::report {

std::string Escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string FormatNumber(const std::optional<double>& value) {
  if (!value || !std::isfinite(*value)) {
    return "–";
  }
  const double size = std::abs(*value);
  std::string text;
  if (size == 0) {
    text = "0";
  } else if (size >= 1000) {
    text = fmt::format("{:.0f}", *value);
    const size_t first = text[0] == '-' ? 1 : 0;
    for (auto at = static_cast<int64_t>(text.size()) - 3; at > static_cast<int64_t>(first);
         at -= 3) {
      text.insert(static_cast<size_t>(at), ",");
    }
  } else if (size >= 0.01) {
    const int decimals = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
    text = fmt::format("{:.{}f}", *value, decimals);
    if (text.find('.') != std::string::npos) {
      text.erase(text.find_last_not_of('0') + 1);
      if (text.back() == '.') {
        text.pop_back();
      }
    }
  } else {
    // 3e-4, 2.5e-10
    text = fmt::format("{:.1e}", *value);
    const size_t e = text.find('e');
    const int exponent = std::stoi(text.substr(e + 1));
    text = text.substr(0, text.substr(e - 2, 2) == ".0" ? e - 2 : e) + fmt::format("e{}", exponent);
  }
  if (text[0] == '-') {
    text.replace(0, 1, "−");
  }
  return text;
}

std::string RenderTable(const Table& table) {
  const auto cell = [&](const char* tag, size_t column, const std::string& content) {
    const bool numeric = column < table.numeric.size() && table.numeric[column];
    return fmt::format("<{0}{1}>{2}</{0}>", tag, numeric ? " class=\"n\"" : "", content);
  };
  std::string out = "<div class=\"scroll\"><table><thead><tr>";
  for (size_t i = 0; i < table.header.size(); ++i) {
    out += cell("th", i, table.header[i]);
  }
  out += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      out += cell("td", i, row[i]);
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string FigureElement(const std::string& content, const std::string& caption) {
  return "<figure>" + content + "<figcaption>" + caption + "</figcaption></figure>\n";
}

std::string Missing(std::string_view what, std::string_view why) {
  return fmt::format("<p class=\"missing\"><b>{}</b> is not in this run: {}</p>\n", Escape(what),
                     Escape(why));
}

std::string Base64(std::string_view bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = bytes.size() - i;
    const auto at = [&](size_t k) {
      return k < left ? static_cast<uint32_t>(static_cast<unsigned char>(bytes[i + k])) : 0U;
    };
    const uint32_t group = at(0) << 16 | at(1) << 8 | at(2);
    out += kDigits[group >> 18 & 63];
    out += kDigits[group >> 12 & 63];
    out += left > 1 ? kDigits[group >> 6 & 63] : '=';
    out += left > 2 ? kDigits[group & 63] : '=';
  }
  return out;
}

}  // namespace hidreamer::report
