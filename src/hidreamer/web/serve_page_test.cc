#include "hidreamer/web/serve_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace hidreamer::web {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ServePage, HoldsAllItNeedsAndLoadsNothing) {
  const std::string page(ServePage());
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_THAT(page, HasSubstr("Chart.js v3"));
  EXPECT_THAT(page, HasSubstr("class FilmView"));
  EXPECT_THAT(page, HasSubstr("</html>"));
  for (const char* load : {"<script src", "<link rel=\"stylesheet", "@import", "@chart_js@"}) {
    EXPECT_THAT(page, Not(HasSubstr(load))) << load;
  }
}

}  // namespace
}  // namespace hidreamer::web
