// Makes a runner that shares packed weights (src/runtime/CMakeLists.txt): XNNPACK's option for it is set before anything is loaded.
#include <cstdio>
#include <cstdlib>

#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/backend/options.h>

namespace {

const bool is_set = [] {
  executorch::runtime::BackendOptions<1> options;
  if (options.set_option("weight_cache_enabled", true) == executorch::runtime::Error::Ok &&
      executorch::runtime::set_option("XnnpackBackend", options.view()) == executorch::runtime::Error::Ok)
    return true;
  std::fputs("the runtime takes no weight cache\n", stderr);
  std::abort();
}();

}  // namespace
