// How the program ends when it is told to.
#pragma once

namespace intaglio::cli {

// From now on SIGINT, SIGTERM and SIGHUP, unless they were ignored, remove temporary files and folders, print one line and end
// the process by that signal. Called before any other thread exists: all threads inherit that these signals are blocked.
void clean_up_on_signals();

}  // namespace intaglio::cli
