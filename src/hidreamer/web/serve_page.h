#pragma once

#include <string_view>

namespace hidreamer::web {

// The page on which runs are watched while they train (HTML, with Chart.js within). It calls
//   api/runs {"seen": [of each run {STAGE: [generation, count]}]} -> {"now", "runs": [of each what
//   report::RunWatch answers]}
// every two seconds while it is looked at, where it is asked for pictures
//   api/pictures {"run", "newest"} -> {"ready": false} or {"ready", "films": [of each what
//   report::ToJson makes], "codes": HTML, "error"}
// until they are ready, and passes its own query, which may hold a token, on.
std::string_view ServePage();

}  // namespace hidreamer::web
