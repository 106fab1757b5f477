#pragma once

namespace hidreamer {

// Ctrl-C, SIGTERM, SIGHUP (the terminal closes) and SIGPIPE (nobody reads the output any more) set
// a flag; long loops ask for it at points from which the work can go on. A second Ctrl-C or
// SIGTERM, a second or more later, ends at once. A signal that was ignored before (nohup) stays
// ignored.
void InstallInterruptHandler();
bool InterruptRequested();
// Sets or clears the flag (tests).
void SetInterruptRequested(bool requested);

}  // namespace hidreamer
