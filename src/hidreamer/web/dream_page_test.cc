#include "hidreamer/web/dream_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

namespace hidreamer::web {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(DreamPage, HoldsItsDreamWhateverTheNames) {
  const nlohmann::json dream = {{"actions", {"</script><b>", "Ünder \"quotes\" \\"}}};
  const std::string page = DreamPage(dream);
  EXPECT_THAT(page, Not(HasSubstr("</script><b>")));
  std::smatch held;
  const std::regex place("id=\"dream\">(\\{.*\\})</script>");
  ASSERT_TRUE(std::regex_search(page, held, place));
  EXPECT_EQ(nlohmann::json::parse(held[1].str()), dream);
}

TEST(DreamPage, LoadsNothing) {
  const std::string page(EmptyDreamPage());
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  for (const char* load : {"http://", "https://", "src=", "@import", "url(", "fetch("}) {
    EXPECT_THAT(page, Not(HasSubstr(load))) << load;
  }
  EXPECT_THAT(page, HasSubstr("class Dream"));
  EXPECT_THAT(page.substr(0, 1024), HasSubstr("<meta name=\"generator\" content=\"hidreamer\">"));
}

}  // namespace
}  // namespace hidreamer::web
