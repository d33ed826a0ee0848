#include "pt2e/passes.h"

#include "testing/text_cases.h"

namespace intaglio::pt2e {
namespace {

const bool registered =
    test::register_text_cases("BoundLengths", "src/pt2e/bound_lengths.test", test::program_passes({{"bound_lengths", bound_lengths}}));

}  // namespace
}  // namespace intaglio::pt2e
