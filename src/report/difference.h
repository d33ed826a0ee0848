// What distinguishes two plans, two programs or two `.pte` files, in the words of layers. Tests: tests/test_diff.py.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <intaglio/pt2e.h>

namespace intaglio::report {

// A place and what is so there: `layer 'classifier' (aten.linear.default)`: weight, int8 with a scale for each of 10 channels.
struct Place {
  std::string name;
  std::vector<std::pair<std::string, std::string>> facts;
};

std::vector<Place> places_of(const Plan& plan);
std::vector<Place> places_of(const ExportedProgram& program);
// Of a file that is verified in passing.
std::vector<Place> places_of_pte(std::span<const std::byte> file);

struct Difference {
  std::string place, fact;    // fact "": only one of the two has the place
  std::string before, after;  // "": not there
};
// In the order of the first, then what only the second has. Places of one name are told apart by their order.
std::vector<Difference> differences(const std::vector<Place>& before, const std::vector<Place>& after);

}  // namespace intaglio::report
