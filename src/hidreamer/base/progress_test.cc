#include "hidreamer/base/progress.h"

#include <gtest/gtest.h>

#include <string>

namespace hidreamer {
namespace {

TEST(FormatDuration, UsesTwoUnitsAtMost) {
  EXPECT_EQ(FormatDuration(44.6), "45 s");
  EXPECT_EQ(FormatDuration(200), "3 min 20 s");
  EXPECT_EQ(FormatDuration(7500), "2 h 05 min");
}

TEST(Progress, WritesPlainLinesWhereThereIsNoTerminal) {
  std::FILE* out = std::tmpfile();
  {
    Progress progress("encoder", 100, "updates", 40, out);
    progress.Update(100, "loss 0.5");
  }
  std::rewind(out);
  std::string line(200, '\0');
  line.resize(std::fread(line.data(), 1, line.size(), out));
  std::fclose(out);
  EXPECT_NE(line.find("encoder"), std::string::npos) << line;
  EXPECT_NE(line.find("100/100 updates"), std::string::npos) << line;
  EXPECT_NE(line.find("loss 0.5"), std::string::npos) << line;
  EXPECT_EQ(line.find('\r'), std::string::npos);
}

// A terminal that was closed, a full disk: the work that is shown goes on.
TEST(Progress, DoesNotMindWhereNothingCanBeWritten) {
  std::FILE* out = std::fopen("/dev/full", "w");
  ASSERT_NE(out, nullptr);
  std::setvbuf(out, nullptr, _IONBF, 0);
  {
    Progress progress("encoder", 100, "updates", 40, out);
    EXPECT_NO_THROW(progress.Update(100, "loss 0.5"));
    EXPECT_NO_THROW(progress.Finish());
  }
  std::fclose(out);
}

}  // namespace
}  // namespace hidreamer
