#include "hidreamer/report/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hidreamer::report {
namespace {

using testing::HasSubstr;

TEST(HtmlTest, EscapesEveryMarkupCharacter) {
  EXPECT_EQ(Escape("<a href=\"x\" & 'y'>"), "&lt;a href=&quot;x&quot; &amp; &#39;y&#39;&gt;");
}

TEST(HtmlTest, NumbersKeepAboutThreeDigits) {
  EXPECT_EQ(FormatNumber({}), "–");
  EXPECT_EQ(FormatNumber(0.0), "0");
  EXPECT_EQ(FormatNumber(-20.29), "−20.3");
  EXPECT_EQ(FormatNumber(1234567.0), "1,234,567");
  EXPECT_EQ(FormatNumber(-1234.0), "−1,234");
  EXPECT_EQ(FormatNumber(0.25), "0.25");
  EXPECT_EQ(FormatNumber(2.0), "2");
  EXPECT_EQ(FormatNumber(16.0), "16");
  EXPECT_EQ(FormatNumber(3.5714), "3.57");
  EXPECT_EQ(FormatNumber(100.0), "100");
  EXPECT_EQ(FormatNumber(0.0003), "3e-4");
  EXPECT_EQ(FormatNumber(-2.5e-10), "−2.5e-10");
}

TEST(HtmlTest, Base64MatchesTheStandardsVectors) {
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("fo"), "Zm8=");
  EXPECT_EQ(Base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(Base64("\xff\xfe"), "//4=");
}

TEST(HtmlTest, TablesAlignNumericColumns) {
  const std::string html =
      RenderTable({.header = {"a", "b"}, .numeric = {false, true}, .rows = {{"x", "1"}}});
  EXPECT_THAT(html, HasSubstr("<th>a</th><th class=\"n\">b</th>"));
  EXPECT_THAT(html, HasSubstr("<td>x</td><td class=\"n\">1</td>"));
}

}  // namespace
}  // namespace hidreamer::report
