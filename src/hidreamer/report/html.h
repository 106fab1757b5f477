#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Small pieces of HTML. Everything that comes from data passes through Escape.
namespace hidreamer::report {

// & < > " ' as entities.
std::string Escape(std::string_view text);

// "12.3", "0.0451", "1,234"; "–" where there is no value. About three significant digits.
std::string FormatNumber(const std::optional<double>& value);

// A table: cells are HTML already; `numeric[i]` aligns column i to the right.
struct Table {
  std::vector<std::string> header;
  std::vector<bool> numeric;
  std::vector<std::vector<std::string>> rows;
};
std::string RenderTable(const Table& table);

// <figure> with a caption (HTML) below its content.
std::string FigureElement(const std::string& content, const std::string& caption);

// A quiet box that names what is missing and why.
std::string Missing(std::string_view what, std::string_view why);

std::string Base64(std::string_view bytes);

}  // namespace hidreamer::report
