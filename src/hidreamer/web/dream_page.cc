#include "hidreamer/web/dream_page.h"

#include "hidreamer/base/error.h"

namespace hidreamer::web {

std::string DreamPage(const nlohmann::json& dream) {
  constexpr std::string_view kPlace = "<script type=\"application/json\" id=\"dream\">";
  std::string page(EmptyDreamPage());
  const size_t at = page.find(kPlace);
  HID_CHECK(at != std::string::npos, "the page has no place for a dream");
  std::string data;
  for (const char letter : dream.dump()) {
    data += letter == '<' ? "\\u003c" : std::string(1, letter);  // no text in it ends the element
  }
  return page.insert(at + kPlace.size(), data);
}

}  // namespace hidreamer::web
