#pragma once

#include <string_view>

namespace hidreamer::web {

// The page on which someone watches or plays a game and a dream of it (HTML). It calls
//   api/game {} -> {"game", "run", "actions": [names], "level_codes", "grid"}
//   api/begin {"session", "seed", "lead"}, api/rejoin {"session"},
//   api/step {"session", "pilot", "action", "temperature"},
//   api/edit {"session", "place", "level", "code"} -> a moment, as apps/hidreamer/play.cc writes it
//   api/film {"session"} -> {"steps", "film": data URL of an animation}
// and passes its own query, which may hold a token, on to them.
std::string_view PlayPage();

}  // namespace hidreamer::web
