#include "pt2e/reference_representation.h"

#include "testing/text_cases.h"

namespace intaglio::pt2e {
namespace {

const bool reference_registered = test::register_text_cases(
    "ReferenceRepresentation", "src/pt2e/reference_representation.test",
    test::program_passes({{"write_reference", write_reference}, {"write_torchao_reference", write_torchao_reference}}));

}  // namespace
}  // namespace intaglio::pt2e
