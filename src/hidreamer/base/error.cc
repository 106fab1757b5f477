#include "hidreamer/base/error.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

namespace hidreamer {

void ThrowCheckFailure(const char* file, int line, const char* condition,
                       const std::string& message) {
  const char* source = std::strstr(file, "hidreamer/");
  throw Error(Error::Kind::kInternal,
              fmt::format("{}:{}: check failed: {}{}{}", source ? source : file, line, condition,
                          message.empty() ? "" : ": ", message));
}

int EditDistance(const std::string& a, const std::string& b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row[b.size()];
}

}  // namespace hidreamer
