// The headers that nearly every file reads, compiled once for a build with INTAGLIO_PRECOMPILED_HEADERS: half of a file's
// compile time is theirs. A file still includes what it uses, as builds without the option show.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <intaglio/intaglio.h>
