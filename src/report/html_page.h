// The report: one page that loads nothing, of what a command found. Tests: tests/test_report.py.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/html_charts.h"
#include "report/html_graph.h"
#include "report/layers.h"
#include "report/sensitivity.h"

namespace intaglio::report {

struct PageFact {
  std::string name, text;
  std::optional<double> value;  // of which the text is the short form
  bool is_time = false;         // measured: it differs from run to run
};

// What a section lacks is said in its note.
struct Page {
  std::string title;
  std::vector<PageFact> facts;
  std::vector<std::string> notes, warnings;

  std::vector<OpRow> ops;
  std::string ops_note;

  std::vector<LayerDifference> errors;
  std::optional<Sensitivity> sensitivity;
  std::string errors_note;

  std::vector<ValueHistogram> activations, weights;
  std::string activations_note, weights_note;

  std::vector<MethodContents> memory;
  std::string memory_note;
};

// Equal pages but for what is measured are equal bytes: that stands in <time> elements.
std::string to_html(const Page& page);

}  // namespace intaglio::report
